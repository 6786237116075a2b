"""Writing checkpoints: atomically, and without what only training needs."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from common.paths import expand
from experiment.atomic import atomic_write
from experiment.checkpoints import read_checkpoint
from experiment.checkpoints.hub import write_folder
from experiment.checkpoints.settings import NOT_FROM_CHECKPOINT

KEPT = (
    "epoch",
    "global_step",
    "pytorch-lightning_version",
    "state_dict",
    "hparams_name",
    "hyper_parameters",
    "datamodule_hparams_name",
)
CALLBACKS = ("ConvolutionLayout", "TemperatureScaling", "UnknownDetection")  # for prediction


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint beside its path and renames it: a kill leaves the old one intact.

    Lightning's own plugin writes to the system's temporary folder, and copies the file where that
    is another disk. Give it to the trainer as one of its ``plugins``.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint`` to ``path``.

        Raises:
            DataError: the file cannot be written.
        """
        buffer = io.BytesIO()  # torch hides the cause where it cannot write to a file
        torch.save(checkpoint, buffer)
        with atomic_write(path) as tmp_path:
            tmp_path.write_bytes(buffer.getbuffer())

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        """Read as `read_checkpoint` does what is no file of torch."""
        if Path(path).suffix == ".safetensors":
            return read_checkpoint(path).content
        return super().load_checkpoint(path, *args, **kwargs)


def write_portable(source: Path, file: Path) -> None:
    """Write the checkpoint ``source`` to ``file`` without what only training needs.

    ``fit`` cannot resume it; all else takes it. Optimizers, schedules, progress, raw weights beside
    an average and folders are left out; of ``data_dir`` the last name stays. A ``.safetensors`` has
    its settings beside it, see `hub.write_folder`.

    Raises:
        DataError: ``source`` cannot be read, or ``file`` cannot be written.
    """
    checkpoint = read_checkpoint(source).content
    kept: dict[str, Any] = {key: checkpoint[key] for key in KEPT if key in checkpoint}
    data = dict(checkpoint.get("datamodule_hyper_parameters") or {})
    folder = data.get("data_dir")
    for name in NOT_FROM_CHECKPOINT:
        data.pop(name, None)
    # None means the built-in sample.
    data["data_dir"] = None if folder is None else expand(folder).resolve().name
    callbacks = checkpoint.get("callbacks") or {}
    kept["datamodule_hyper_parameters"] = data
    kept["callbacks"] = {name: callbacks[name] for name in CALLBACKS if name in callbacks}
    if file.suffix == ".safetensors":
        write_folder(kept, file)
    else:
        AtomicCheckpointIO().save_checkpoint(kept, file)
