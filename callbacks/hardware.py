"""The fast settings that are safe on the hardware at hand."""

import logging

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

log = logging.getLogger(__name__)


def native_precision(accelerator: str) -> str:
    """Lightning precision for ``trainer.precision: null``: "bf16-mixed" where bf16 is native.

    Elsewhere "32-true": emulated bf16 is many times slower on a CPU, and on Apple's MPS autocast
    is not reliable.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        native = False
    else:
        native = torch.cpu.get_capabilities().get("avx512_bf16", False)
    return "bf16-mixed" if native else "32-true"


class ChannelsLast(Callback):
    """Stores convolution weights channels-last where that is the faster memory format.

    Numbers do not change beyond the order of sums. On CPUs below AVX-512 the wide layers become
    slower (31 M U-Net: 25 s a step against 15 s), and MPS has no kernels for it: left as it is.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        device = trainer.strategy.root_device.type
        faster = device == "cuda" or (
            device == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
        )
        if faster:
            pl_module.to(memory_format=torch.channels_last)
        log.info(
            "precision %s, memory format %s on %s",
            trainer.precision,
            "channels_last" if faster else "contiguous",
            device,
        )
