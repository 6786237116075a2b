"""Reads a checkpoint without running any of its code."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import DataError
from experiment import checkpoint


@dataclass(frozen=True)
class Trained:
    """A checkpoint that ``cli.py fit`` wrote.

    Attributes:
        path: the file.
        method: name of the LightningModule, such as "DefectClassifier".
        model: its hyperparameters, classes as ``class_path`` and ``init_args``.
        data: those of the data module it was trained with.
        weights: state dict of the LightningModule.
        callbacks: what callbacks kept, by their names.
    """

    path: Path
    method: str
    model: dict[str, Any]
    data: dict[str, Any]
    weights: dict[str, Any] = field(repr=False)
    callbacks: dict[str, Any] = field(repr=False)

    @property
    def trained_on_sample(self) -> bool:
        """Whether it was trained on the built-in drawings."""
        return self.data.get("data_dir") is None

    @property
    def precision(self) -> str:
        """Of the training, in Lightning's terms, as the callback ``ConvolutionLayout`` kept it."""
        return str(self.callbacks.get("ConvolutionLayout", {}).get("precision", "32-true"))


def find_checkpoint(source: Path) -> Path:
    """The checkpoint file that ``source`` stands for: itself, or the best one of a run folder.

    Raises:
        DataError: no such run or file, or the run kept no best checkpoint.
    """
    if source.is_file():
        return source
    if not source.is_dir():
        raise DataError(f"{source}: no such run or checkpoint; give a run folder or a .ckpt file")
    folder = source / "checkpoints" if (source / "checkpoints").is_dir() else source
    last = folder / "last.ckpt"
    if not last.is_file():
        raise DataError(f"{source}: holds no checkpoint; give a run folder or a .ckpt file")
    return checkpoint.best_beside(last)


def read_trained(path: Path) -> Trained:
    """Read a checkpoint.

    Raises:
        DataError: see `experiment.checkpoint.read_checkpoint`; it does not say how its model is
            built.
    """
    raw = checkpoint.read_checkpoint(path)
    model = dict(raw.get("hyper_parameters") or {})
    data = dict(raw.get("datamodule_hyper_parameters") or {})
    method = str(model.pop("_class_path", "")).rpartition(".")[2]
    if not method or not isinstance(raw.get("state_dict"), dict):
        raise DataError(
            f"{path}: does not say how its model is built; give one that `cli.py fit` wrote"
        )
    return Trained(path, method, model, data, raw["state_dict"], raw.get("callbacks") or {})
