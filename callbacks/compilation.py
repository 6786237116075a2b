"""Compiled networks."""

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


def trained_networks(module: pl.LightningModule) -> list[nn.Module]:
    """The networks that a training step calls: of a discriminator of several, each."""
    named = (getattr(module, name, None) for name in ("network", "generator", "discriminator"))
    parts = ([*getattr(one, "networks", [one])] for one in named if one is not None)
    return [network for part in parts for network in part]
