"""Reading checkpoints: whether one can be read, is of this method, and has epochs left to train.

Without Lightning, which takes longer to import than torch: `inference` starts with this.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import nn

from common.errors import DataError
from datamodules.folds import ALL
from experiment.atomic import HALF
from experiment.run_json import read_run_json

CROSSVAL_RECORD = "crossval.json"  # in the folder of a cross-validation


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of Lightning, its tensors mapped from the file; runs none of its code.

    Raises:
        DataError: no such file, not a file of torch, damaged, holds more than tensors and plain
            values, or is no checkpoint of Lightning.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint; give a run, a file, last or best")
    try:
        if is_zipfile(path) and ZipFile(path).testzip() is not None:  # torch does not look
            raise ValueError("a checksum does not agree")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever torch meets in a file that is not its own
        cause = "it holds objects that would run code" if "nsupported" in str(error) else "damaged"
        if path.stat().st_size == 0:
            cause = "it is empty"
        raise DataError(
            f"{path}: not a checkpoint that can be read ({cause}); give one that `fit` wrote"
        ) from None
    if not isinstance(checkpoint, dict) or "pytorch-lightning_version" not in checkpoint:
        kind = "bare weights" if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise DataError(f"{path}: not a checkpoint of Lightning ({kind}); give one `fit` wrote")
    if "state_dict" not in checkpoint:
        raise DataError(f"{path}: holds no weights; give a checkpoint that `fit` wrote")
    for part in ("state_dict", "hyper_parameters", "datamodule_hyper_parameters"):
        value = checkpoint.get(part, {})
        whole = isinstance(value, dict) and all(isinstance(name, str) for name in value)
        tensors = part != "state_dict" or (whole and all(map(torch.is_tensor, value.values())))
        if not whole or not tensors:
            raise DataError(f"{path}: damaged ({part} is not what `fit` writes); give another one")
    return checkpoint


def check_weights_fit(path: Path, checkpoint: dict[str, Any], model: nn.Module) -> None:
    """Refuse weights of another network than the model has.

    Args:
        path: of the checkpoint, for the message.
        checkpoint: as `read_checkpoint` returns it.
        model: that shall load it.

    Raises:
        DataError: names or shapes differ; names the first that does.
    """
    own, stored = model.state_dict(), checkpoint["state_dict"]
    mismatched_keys = [name for name in {**own, **stored} if (name in own) != (name in stored)]
    mismatched_keys += [
        name for name in own if name in stored and own[name].shape != stored[name].shape
    ]
    if mismatched_keys:
        shapes = (
            str(tuple(s[mismatched_keys[0]].shape)) if mismatched_keys[0] in s else "nothing"
            for s in (stored, own)
        )
        raise DataError(
            f"{path}: {len(mismatched_keys)} of its weights are not those of this model: "
            f"{mismatched_keys[0]} is {next(shapes)}, not {next(shapes)}; give the config it "
            "was trained with"
        )


def check_finite(path: Any, weights: Mapping[str, Any]) -> None:
    """Refuse weights that are NaN or infinite.

    Args:
        path: path of the checkpoint, for the message.
        weights: state dict.

    Raises:
        DataError: names the first such weight.
    """
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise DataError(
                f"{path}: {name} is not finite, so its training went wrong; give a checkpoint of "
                "an earlier epoch, or train again with a lower learning rate"
            )


def best_beside(last: Path) -> Path:
    """The best checkpoint as ``last`` names it, or the newest beside it if that one is gone.

    ``last`` itself where it was trained on all images: nothing was held out to find a best one by.

    Raises:
        DataError: there is none.
    """
    checkpoint = read_checkpoint(last)
    for state in checkpoint.get("callbacks", {}).values():
        # The path as it was at training; the folder may have been moved since.
        best = last.with_name(Path(state.get("best_model_path", "") or last).name)
        if best != last and best.is_file():
            return best
    if (checkpoint.get("datamodule_hyper_parameters") or {}).get("fold") == ALL:
        return last
    # Killed after a better one took its place, and before that was known to last.ckpt.
    others = [path for path in last.parent.glob("[!.]*.ckpt") if path != last]
    if not others:
        raise DataError(f"{last.parent}: the run kept no best checkpoint; give {last}")
    return max(others, key=lambda path: path.stat().st_mtime_ns)


def check_same_method(path: Path, checkpoint: dict[str, Any], class_path: str) -> None:
    """Refuse a checkpoint of another module than the config's, before anything is written.

    Args:
        path: of the checkpoint, for the message.
        checkpoint: as `read_checkpoint` returns it.
        class_path: of the config's module, such as ``lit_models.VesselSegmenter``.

    Raises:
        DataError: it is another class.
    """
    trained = checkpoint.get("hyper_parameters", {}).get("_class_path")
    if trained is None:  # trained without the command line: nothing says of what class
        return
    theirs, ours = (str(name).rpartition(".")[2] for name in (trained, class_path))
    if theirs != ours:
        raise DataError(
            f"{path}: is a {theirs}'s checkpoint, this config is {ours}'s; give the config it was "
            "trained with"
        )


def check_not_finished(path: Path, checkpoint: dict[str, Any], max_epochs: int | None) -> None:
    """Refuse to resume a run that has done its epochs: there is nothing to train.

    But not one that was killed after its last epoch: its figures and its report are still to come.

    Args:
        path: of the checkpoint, for the message.
        checkpoint: as `read_checkpoint` returns it.
        max_epochs: the trainer's; None or -1 has no end.

    Raises:
        DataError: all epochs are done, or none are known.
    """
    if "loops" not in checkpoint or "optimizer_states" not in checkpoint:
        raise DataError(f"{path}: holds weights alone; test and predict take it, fit cannot go on")
    if not _can_go_on(checkpoint):
        raise DataError(f"{path}: damaged (its state of training is not whole); give another one")
    done = finished_epochs(checkpoint)
    if done == max_epochs and _lacks_report(path.resolve().parent.parent):
        return
    if max_epochs is not None and 0 <= max_epochs <= done:
        raise DataError(
            f"{path}: has trained its {done} epochs; raise trainer.max_epochs (now {max_epochs}) "
            "to train on"
        )


def _can_go_on(checkpoint: dict[str, Any]) -> bool:
    """Whether what Lightning restores beside the weights has its form."""
    optimizers = checkpoint["optimizer_states"]
    try:
        finished_epochs(checkpoint)
        return (
            len(optimizers) > 0
            and all({"state", "param_groups"} <= one.keys() for one in optimizers)
            and isinstance(checkpoint["epoch"], int)
            and isinstance(checkpoint["callbacks"], dict)
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _lacks_report(run: Path) -> bool:
    """Whether ``run`` is a run's folder in which the last process did not come to its report."""
    record, report = run / "run.json", run / "report.html"
    if not record.is_file():
        return False
    return (
        read_run_json(record).get("status") != "finished"
        or not report.is_file()
        or report.stat().st_mtime_ns < record.stat().st_mtime_ns
        or any(run.rglob(f"{HALF}*"))
    )


def finished_epochs(checkpoint: dict[str, Any]) -> int:
    """Epochs of training that a checkpoint has seen to their end."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
