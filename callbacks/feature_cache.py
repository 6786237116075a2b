"""A frozen backbone's features, computed once."""

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.utils.data import Dataset

from callbacks.gather import gather_in_order

log = logging.getLogger(__name__)


class FeatureCache(Callback):
    """Runs the frozen backbone over the training and validation images once, before ``fit``.

    A frozen backbone in eval mode outputs the same features in each epoch if it sees the same
    images: the head is then trained on cached features. The cache stays off where the backbone is
    trained or images are augmented. Memory: 2 KiB per image for ResNet-18.

    The module needs a ``network`` with ``frozen``, ``features(images)`` and ``head``, a ``Linear``.

    Args:
        limit_gib: the cache stays off where it would take more memory; 2 GiB is a million images.
    """

    def __init__(self, limit_gib: float = 2.0) -> None:
        self.limit_gib = limit_gib

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        network: Any = pl_module.network
        sets = {"train": data.train_set, "val": data.val_set}
        sets = {split: images for split, images in sets.items() if images is not None}
        images = sum(map(len, sets.values()))
        if not data.cache_features:
            log.info("feature cache: off by config")
        elif not network.frozen:
            log.info("feature cache: off, the backbone is trained")
        elif data.augmentation is not None:
            log.info("feature cache: off, training images are augmented at random")
        elif images * network.head.in_features * 4 / 2**30 > self.limit_gib:
            log.info("feature cache: off, it would take more than %g GiB", self.limit_gib)
        else:
            log.info("feature cache: one backbone pass, then every epoch trains on its features")
            data.features = {
                split: self._features(trainer, network, images) for split, images in sets.items()
            }

    @torch.no_grad()
    def _features(self, trainer: pl.Trainer, network: Any, images: Dataset) -> Tensor:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        local_items = []
        for batch in data.eval_loader(images):
            batch["image"] = batch["image"].to(trainer.strategy.root_device)
            batch = data.on_after_batch_transfer(batch, 0)
            with trainer.precision_plugin.forward_context():
                features = network.features(batch["image"])
            local_items.append((features.float(), batch["index"]))
        return gather_in_order(trainer, local_items, index=1)[0]
