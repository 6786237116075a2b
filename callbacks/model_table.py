"""The parts of a model that hold parameters, when training starts."""

import logging

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_only
from torch import nn

log = logging.getLogger(__name__)


class ModelTable(Callback):
    """One line instead of Lightning's table (``enable_model_summary: false``).

    Metrics and losses, which hold no parameters, are left out.
    """

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        parts = [
            f"{name} {type(part).__name__} {count:,}"
            for name, part in pl_module.named_children()
            if (count := _count(part))
        ]
        total, trained = _count(pl_module), _count(pl_module, trained=True)
        also = "" if trained == total else f", {trained:,} of them trained"
        log.info("model: %s; %s parameters%s", ", ".join(parts), f"{total:,}", also)


def _count(module: nn.Module, trained: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)
