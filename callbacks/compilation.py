"""Compiled networks."""

from collections.abc import Iterator
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

CompileMode = Literal["default", "reduce-overhead", "max-autotune"]


class Compilation(Callback):
    """Compiles the networks for the steps of ``fit``; losses, metrics and optimizers stay eager.

    In place, so that names in checkpoints, averages and exports are the same. Validation runs
    without: its images differ in size, and each size would be compiled anew.

    Args:
        mode: of `torch.compile`; None compiles nothing. With CUDA graphs ("reduce-overhead",
            "max-autotune") a step of a small network no longer waits for Python.
    """

    def __init__(self, mode: CompileMode | None = None) -> None:
        self.mode = mode

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.mode is not None and stage == "fit":
            for network in trained_networks(pl_module):
                network.compile(mode=self.mode)

    def on_train_batch_start(self, *args: Any) -> None:
        if self.mode is not None:  # a GAN has several backward passes in one step
            torch.compiler.cudagraph_mark_step_begin()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.mode is not None:
            torch.compiler.set_stance("force_eager")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.mode is not None:
            torch.compiler.set_stance("default")


def trained_networks(module: pl.LightningModule) -> Iterator[nn.Module]:
    """The networks that a training step calls, each without what wraps it."""
    for name in ("network", "generator", "discriminator"):
        if (part := getattr(module, name, None)) is not None:
            part = getattr(part, "network", part)  # not the AVIF files before it
            yield from getattr(part, "networks", [part])  # not the mean of several
