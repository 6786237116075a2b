"""Memory format and compilation of the networks."""

import logging
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from experiment.hardware import native_memory_format

log = logging.getLogger(__name__)
CompileMode = Literal["default", "reduce-overhead", "max-autotune"]


class ConvolutionLayout(Callback):
    """Stores convolution weights channels-last where that is faster, see `native_memory_format`.

    Elsewhere the layout that a network has chosen stays. Numbers change only by the order of sums.
    The checkpoint keeps the precision of the training, for use without a config.
    """

    def __init__(self) -> None:
        self._precision = "32-true"

    def state_dict(self) -> dict[str, Any]:
        return {"precision": self._precision}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        layout = native_memory_format(trainer.strategy.root_device)
        if layout == torch.channels_last:
            pl_module.to(memory_format=layout)
        self._precision = str(trainer.precision)
        log.info("precision %s, memory format %s", trainer.precision, str(layout)[6:])


class Compilation(Callback):
    """Compiles the networks for the steps of ``fit``; losses, metrics and optimizers stay eager.

    In place, so that names in checkpoints, averages and exports are the same. Validation runs
    without: its images differ in size, and each size would be compiled anew.

    Args:
        mode: of `torch.compile`. With CUDA graphs ("reduce-overhead", "max-autotune") a step of a
            small network no longer waits for Python.
    """

    def __init__(self, mode: CompileMode) -> None:
        self.mode = mode

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        for name in ("network", "generator", "discriminator"):
            if (part := getattr(pl_module, name, None)) is not None:
                part.compile(mode=self.mode)

    def on_train_batch_start(self, *args: Any) -> None:
        torch.compiler.cudagraph_mark_step_begin()  # a GAN has several backward passes in one step

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.compiler.set_stance("force_eager")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.compiler.set_stance("default")
