"""Which checkpoints an ensemble is of, and whether they belong together."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from common.errors import DataError
from datamodules.base import ImageDataModule
from experiment.arguments import UsageError
from experiment.checkpoint import CROSSVAL_RECORD, best_beside
from experiment.checkpoint_settings import flat_settings

# What members may differ in beside ImageDataModule.NOT_FROM_CHECKPOINT.
SPLIT = ("folds", "fold", "seed", "val_fraction", "val_size")
TRAINING = ("augmentation", "crops_per_image", "test_on")
ALIKE = ("_class_path", "network", "class_names", "fov_only")  # of the model
STARTS = ("network.weights", "network.frozen")  # what its network began with


def member_paths(
    source: str | Path | Sequence[str | Path], which: Literal["last", "best"] = "best"
) -> list[Path]:
    """The checkpoints that ``source`` stands for.

    Args:
        source: a path; several of them, also as the text ``[a.ckpt, b.ckpt]``; or the folder of a
            cross-validation.
        which: of its checkpoints a run folder stands for.

    Raises:
        UsageError: not a list of paths.
        DataError: the cross-validation is not finished, or its record cannot be read.
    """
    if isinstance(source, str) and source.lstrip().startswith("["):
        try:
            source = yaml.safe_load(source)
        except yaml.YAMLError:
            source = []
        if not isinstance(source, list) or not all(isinstance(s, str) for s in source):
            raise UsageError('ckpt_path: not a list of files; give "[a.ckpt, b.ckpt]"')
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        return _of_crossval(path) if (path / CROSSVAL_RECORD).is_file() else [_of_run(path, which)]
    if not source:
        raise UsageError("ckpt_path: an empty list; give one file or more")
    return [_of_run(Path(one).expanduser(), which) for one in source]


def _of_run(path: Path, which: Literal["last", "best"]) -> Path:
    last = path / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return path  # a file, or the reader's error
    return last if which == "last" else best_beside(last)


def _of_crossval(folder: Path) -> list[Path]:
    try:
        record = json.loads((folder / CROSSVAL_RECORD).read_text(encoding="utf-8"))
        members = [folder / one["checkpoint"] for one in record["members"]]
        status = record["status"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{folder / CROSSVAL_RECORD}: not readable; run crossval again") from None
    if status != "finished" or not members:
        raise DataError(f"{folder}: {len(members)} trained so far; run crossval again to go on")
    return members


def check_members(paths: Sequence[Path], checkpoints: Sequence[dict[str, Any]]) -> None:
    """Refuse members whose class, network or preprocessing differ.

    Args:
        paths: of the checkpoints, for the message.
        checkpoints: as `read_checkpoint` returns them.

    Raises:
        DataError: names the file and the first setting that is not the first member's.
    """
    first = _to_agree(checkpoints[0])
    for path, checkpoint in zip(paths[1:], checkpoints[1:], strict=True):
        other = _to_agree(checkpoint)
        for name in [*first, *(n for n in other if n not in first)]:
            if first.get(name) != other.get(name):
                raise DataError(
                    f"{path}: {name} is {other.get(name)}, but {first.get(name)} in {paths[0]}; "
                    "members of an ensemble have one network and one preprocessing"
                )


def _to_agree(checkpoint: dict[str, Any]) -> dict[str, Any]:
    model, data = (
        checkpoint.get(key) or {} for key in ("hyper_parameters", "datamodule_hyper_parameters")
    )
    free = {*ImageDataModule.NOT_FROM_CHECKPOINT, *SPLIT, *TRAINING}
    agreed = {
        "model": {name: model[name] for name in ALIKE if name in model},
        "data": {k: v for k, v in data.items() if k not in free and not k.startswith("_")},
    }
    flat = flat_settings(agreed)
    return {k: v for k, v in flat.items() if not k.startswith(tuple(f"model.{s}" for s in STARTS))}


def share_validation(checkpoints: Sequence[dict[str, Any]]) -> bool:
    """Whether all members held the same images out."""
    data = [checkpoint.get("datamodule_hyper_parameters") or {} for checkpoint in checkpoints]
    return len({tuple(str(one.get(name)) for name in SPLIT) for one in data}) == 1


def temperatures(checkpoints: Sequence[dict[str, Any]], asked: float | None) -> list[float]:
    """Of each member's logits: what was asked for, or else its own, or else 1."""
    own = ((c.get("hyper_parameters") or {}).get("inference") or {} for c in checkpoints)
    return [float(asked or dict(one).get("temperature") or 1.0) for one in own]
