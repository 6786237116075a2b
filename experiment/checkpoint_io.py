"""Writing checkpoints: atomically, and without what only training needs."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from common.paths import expand
from experiment.atomic import atomic_write
from experiment.checkpoints import read_checkpoint
from experiment.checkpoints.read import HUB_SETTINGS
from experiment.checkpoints.settings import NOT_FROM_CHECKPOINT

KEPT = ("epoch", "global_step", "pytorch-lightning_version", "state_dict", "hyper_parameters")
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
    an average and folders are left out; of ``data_dir`` the last name stays. As ``.safetensors`` it
    is what the Hugging Face hub has, with ``config.json`` beside it.

    Raises:
        DataError: ``source`` cannot be read, or ``file`` cannot be written.
    """
    checkpoint = read_checkpoint(source)
    content = {name: checkpoint.content[name] for name in KEPT if name in checkpoint.content}
    data = checkpoint.content.get("datamodule_hyper_parameters") or {}
    folder = data.get("data_dir")  # None means the built-in sample
    data = {name: value for name, value in data.items() if name not in NOT_FROM_CHECKPOINT}
    data["data_dir"] = None if folder is None else expand(folder).resolve().name
    content["datamodule_hyper_parameters"] = data
    content["callbacks"] = {k: v for k, v in checkpoint.callbacks.items() if k in CALLBACKS}
    if file.suffix == ".safetensors":
        _write_hub_folder(content, file)
    else:
        AtomicCheckpointIO().save_checkpoint(content, file)


def _write_hub_folder(content: dict[str, Any], weights: Path) -> None:
    """Tensors in ``weights``, all else in `HUB_SETTINGS` beside it; nothing in either runs code."""
    from safetensors.torch import save_file

    tensors = dict(content["state_dict"])
    for callback, state in content["callbacks"].items():
        found = {name: value for name, value in state.items() if torch.is_tensor(value)}
        tensors |= {f"/callbacks/{callback}/{name}": value for name, value in found.items()}
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, weights)
    text = json.dumps(content | {"state_dict": {}}, indent=2, default=lambda tensor: None)
    weights.with_name(HUB_SETTINGS).write_text(text + "\n", encoding="utf-8")
