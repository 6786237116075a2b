"""Checkpoint files of a name: best, last, a run, a file, several, a cross-validation, the hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from common.errors import DataError
from common.paths import expand
from experiment.checkpoints.read import HUB_SETTINGS, HUB_WEIGHTS, read_checkpoint
from experiment.run_json import read_record

CROSSVAL_RECORD = "crossval.json"  # in the folder of a cross-validation
Which = Literal["last", "best"]
Source = str | Path | Sequence[str | Path]


def find_checkpoints(
    source: Source, which: Which = "best", runs: Sequence[Path] = ()
) -> list[Path]:
    """Checkpoint files of ``source``, in its order.

    Args:
        source: "best" or "last" of the newest of ``runs``; a run folder, a file, a folder of
            ``export --format hub`` or ``hf://user/name``; a list of these, also as the text
            ``[a.ckpt, b.ckpt]``; or the folder of a cross-validation, for the best checkpoints of
            all folds.
        which: checkpoint to take of a run folder.
        runs: run folders in which "best" and "last" are searched.

    Raises:
        DataError: no such run or file, a run without a checkpoint, a
            cross-validation that is not finished, or a model that the hub does not give.
    """
    if source in ("best", "last"):
        found = [last for run in runs if (last := run / "checkpoints" / "last.ckpt").is_file()]
        if not found:
            where = f"{runs[0].parent}: no run with a checkpoint" if runs else "no run yet"
            raise DataError(f"{where}; train first, or give --ckpt_path a run folder or file")
        last = max(found, key=lambda path: path.stat().st_mtime_ns)
        return [last if source == "last" else best_checkpoint(last)]
    if isinstance(source, str) and source.startswith("hf://"):
        return [_download(source)]
    if isinstance(source, str) and source.lstrip().startswith("["):
        source = [path.strip(" '\"") for path in source.strip(" []").split(",")]
    if not isinstance(source, str | Path):
        return [_in_run(expand(one), which) for one in source]
    path = expand(source)
    return _of_crossval(path) if (path / CROSSVAL_RECORD).is_file() else [_in_run(path, which)]


def best_checkpoint(last: Path) -> Path:
    """The best checkpoint of the run of ``last``, or ``last`` itself where there is none."""
    for state in read_checkpoint(last).callbacks.values():
        named = state.get("best_model_path") if isinstance(state, dict) else None
        best = last.with_name(Path(named or last).name)  # the folder may have been moved since
        if best != last and best.is_file():
            return best
    # The run was killed after a better one replaced it, before last.ckpt was written.
    others = [path for path in last.parent.glob("[!.]*.ckpt") if path != last]
    return max(others, key=lambda path: path.stat().st_mtime_ns, default=last)


def _in_run(path: Path, which: Which) -> Path:
    """``path`` if it is a file, else the checkpoint of the folder."""
    for file in (path, path / HUB_WEIGHTS):
        if file.is_file():
            return file
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    last = folder / "last.ckpt"
    if not last.is_file():
        raise DataError(f"{path}: no such run or checkpoint; give a folder, a file, best or last")
    return last if which == "last" else best_checkpoint(last)


def _of_crossval(folder: Path) -> list[Path]:
    record = read_record(folder / CROSSVAL_RECORD)
    found = (one.get("checkpoint") for one in record.get("members", []) if isinstance(one, dict))
    members = [folder / path for path in found if path]
    if record.get("status") != "finished" or not members:
        raise DataError(f"{folder}: not all folds are trained; run crossval again to continue")
    return members


def _download(address: str) -> Path:
    """The weights of ``hf://user/name``, from the hub or its cache.

    ``HF_HUB_OFFLINE=1`` takes the cache alone, ``HF_TOKEN`` reads private models. Tested with the
    offline mode alone.
    """
    try:
        from huggingface_hub import snapshot_download

        name = address.removeprefix("hf://").strip("/")
        folder = snapshot_download(name, allow_patterns=[HUB_WEIGHTS, HUB_SETTINGS])
        return Path(folder) / HUB_WEIGHTS
    except ImportError:
        raise DataError(f"{address}: needs huggingface_hub; pip install -e '.[hub]'") from None
    except Exception as error:  # of the hub, of its HTTP client and of the file system
        cause = str(error).strip().partition("\n")[0]
        raise DataError(f"{address}: cannot be had ({cause}); give hf://user/name") from None
