"""Writing checkpoints whole or not at all."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from experiment.atomic import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint beside its place and renames it: a kill leaves the old one whole.

    Lightning's own goes through the system's temporary folder, and where that lies on another disk
    the last step is a copy. Give it to the trainer as one of its ``plugins``.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint`` to ``path``.

        Raises:
            DataError: the file system refuses, as a full disk does.
        """
        buffer = io.BytesIO()  # torch hides the cause where it cannot write to a file
        torch.save(checkpoint, buffer)
        with atomic_write(path) as tmp_path:
            tmp_path.write_bytes(buffer.getbuffer())
