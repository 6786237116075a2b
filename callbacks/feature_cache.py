"""A frozen backbone's features, computed once."""

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.utils.data import Dataset, TensorDataset

from callbacks.gather import gather_in_order

log = logging.getLogger(__name__)


class FeatureCache(Callback):
    """Runs the frozen backbone over the training and validation images once, before ``fit``.

    A frozen backbone in eval mode gives the same features in every epoch if it sees the same
    images; training ``fc`` on the kept features is then the same computation, at the cost of one
    forward pass in all. Where that does not hold (a trained backbone, random augmentation) the
    cache stays off. Memory: 2 KiB an image, the images themselves are not kept.

    Args:
        limit_gib: the cache also stays off where it would take more than this, which is a million
            images.
    """

    def __init__(self, limit_gib: float = 2.0) -> None:
        self.limit_gib = limit_gib

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not data.cache_features:
            log.info("feature cache: off by config")
        elif not pl_module.hparams["freeze"]:
            log.info("feature cache: off, the backbone is trained")
        elif data.augment is not None:
            log.info("feature cache: off, training images are augmented at random")
        elif self._gib(pl_module, data) > self.limit_gib:
            log.info("feature cache: off, it would take more than %g GiB", self.limit_gib)
        else:
            log.info("feature cache: one backbone pass, then every epoch trains on its features")
            data.features = {
                "train": self._features(trainer, pl_module, data.train_set),
                "val": self._features(trainer, pl_module, data.val_set),
            }

    @staticmethod
    def _gib(pl_module: pl.LightningModule, data: Any) -> float:
        images = len(data.train_set) + len(data.val_set)
        return float(images * pl_module.fc.in_features * 4 / 2**30)  # type: ignore[union-attr, operator]

    @torch.no_grad()
    def _features(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, images: Dataset
    ) -> TensorDataset:
        data = trainer.datamodule  # type: ignore[attr-defined]
        mine = []
        for batch in data.ordered_loader(images):
            x, labels, indices = (part.to(pl_module.device) for part in batch)
            with trainer.precision_plugin.forward_context():
                features = pl_module.backbone(data.normalise(x))  # type: ignore[operator]
            mine.append((features.float(), labels, indices))
        return TensorDataset(*gather_in_order(trainer, mine, index=2))
