"""What the benchmarks put into a training to see what it does."""

import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.overrides import TorchFunctionMode


def peak_memory() -> float:
    """Largest resident set of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Clock(Callback):
    """Writes the seconds of each epoch and step, and of all before them, to a JSON file.

    An epoch includes its validation; a step is from the end of the one before, so its loading
    counts. ``before`` is from the call of ``fit`` to the first epoch: data, feature cache.
    ``first_step`` is the time of day of the first step's end, ``peak`` the process's largest
    resident set in GiB, without its workers.
    """

    def __init__(self, path: str, quality: str) -> None:
        self.path, self.quality = Path(path), quality
        self.record: dict[str, Any] = {"epoch_seconds": [], "step_seconds": [], "scores": []}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._start = time.perf_counter()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.record["before"] = time.perf_counter() - self._start

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch = self._last = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        now = time.perf_counter()
        self.record.setdefault("first_step", time.time())
        self.record["step_seconds"].append(now - self._last)
        self._last = now

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.record["epoch_seconds"].append(time.perf_counter() - self._epoch)
        if self.quality in trainer.callback_metrics:  # not every epoch need be validated
            self.record["scores"].append(float(trainer.callback_metrics[self.quality]))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.path.write_text(json.dumps({**self.record, "peak": peak_memory()}))


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
