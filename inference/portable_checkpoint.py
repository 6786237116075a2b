"""A checkpoint for sharing: only what prediction needs, nothing of the training machine."""

from pathlib import Path
from typing import Any

from datamodules.base import ImageDataModule
from experiment.checkpoint import read_checkpoint
from experiment.checkpoint_io import AtomicCheckpointIO

KEPT = (
    "epoch",
    "global_step",
    "pytorch-lightning_version",
    "state_dict",
    "hparams_name",
    "hyper_parameters",
    "datamodule_hparams_name",
)
CALLBACKS = ("ConvolutionLayout", "TemperatureScaling")  # precision; confidence


def write_portable(source: Path, file: Path) -> None:
    """Write the checkpoint ``source`` without what only training needs.

    ``validate``, ``test``, ``predict`` and ``inference.load`` take ``file`` as they take
    ``source``; ``fit`` cannot resume from it. Optimizers, schedules, progress and the weights
    beside an average are left out, folders too: of ``data_dir`` the last name stays, by which the
    data are known.

    Raises:
        DataError: ``source`` cannot be read, or ``file`` not be written.
    """
    checkpoint = read_checkpoint(source)
    kept: dict[str, Any] = {key: checkpoint[key] for key in KEPT if key in checkpoint}
    data = dict(checkpoint.get("datamodule_hyper_parameters") or {})
    folder = data.get("data_dir")
    for name in ImageDataModule.NOT_FROM_CHECKPOINT:
        data.pop(name, None)
    # Without a name the model would count as one of the built-in sample.
    data["data_dir"] = None if folder is None else Path(folder).expanduser().resolve().name
    callbacks = checkpoint.get("callbacks") or {}
    kept["datamodule_hyper_parameters"] = data
    kept["callbacks"] = {name: callbacks[name] for name in CALLBACKS if name in callbacks}
    AtomicCheckpointIO().save_checkpoint(kept, file)
