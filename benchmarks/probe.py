"""What `benchmarks/accelerator.py` puts into a training to see what it does."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.overrides import TorchFunctionMode


class DrawnOnCPU(TorchFunctionMode):
    """Draws random tensors on the CPU and moves them: the same numbers for every device."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.rand, torch.randn, torch.randint):
            device = kwargs.pop("device", None) or "cpu"
            return func(*args, **kwargs).to(device)
        if func in (torch.rand_like, torch.randn_like):
            template = torch.empty(args[0].shape, dtype=args[0].dtype)
            return func(template, *args[1:], **kwargs).to(args[0].device)
        return func(*args, **kwargs)


class Probe(Callback):
    """Keeps losses and seconds of each step, and a checkpoint of each epoch."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.losses: list[list[float]] = []
        self.seconds: list[float] = []
        self.images = 0

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if not self.losses:
            self._last = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        outputs, batch = args[1:3]
        self.losses.append([float(v) for k, v in sorted(outputs.items()) if k.endswith("loss")])
        self.images = max(self.images, len(batch["image"]))
        now = time.perf_counter()  # the losses are here, so the accelerator is done
        self.seconds.append(now - self._last)
        self._last = now

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")
