"""A frozen backbone's features, computed once."""

import logging
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.utils.data import Dataset

from callbacks.gather import gather

log = logging.getLogger(__name__)
LIMIT_GIB = 2.0  # a million images of ResNet-18


class FeatureCache(Callback):
    """Runs the frozen backbone over the training and validation images once, before ``fit``.

    A frozen backbone in eval mode outputs the same features in each epoch if it sees the same
    images: the head is then trained on cached features. The cache stays off where the backbone is
    trained, images are augmented, or features would take more than `LIMIT_GIB`.

    The module needs a ``network`` with ``frozen``, ``features(images)`` and ``head``, a ``Linear``.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        network: Any = pl_module.network
        sets = {"train": data.train_set, "val": data.val_set or ()}
        if not (data.cache_features and getattr(network, "frozen", False)) or data.augmentation:
            return
        if sum(map(len, sets.values())) * network.head.in_features * 4 / 2**30 <= LIMIT_GIB:
            data.features = {
                split: over_images(trainer, images, lambda x: (network.features(x["image"]),))[0]
                for split, images in sets.items()
                if images
            }
            log.info("feature cache: every epoch trains on features that are computed once")


@torch.no_grad()
def over_images(
    trainer: pl.Trainer, images: Dataset, function: Callable[[Any], tuple[Tensor, ...]]
) -> list[Tensor]:
    """What a function gives for the images of a data set, over all processes, in their order.

    Args:
        trainer: with a data module, whose transforms on the device are applied.
        images: one of its data sets.
        function: from a batch to tensors ``(N, ...)``, in the trainer's precision.

    Returns:
        Its tensors over all images, float32 or integer, on the CPU.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    parts = []
    for batch in data.eval_loader(images):
        batch = trainer.strategy.batch_to_device(batch, trainer.strategy.root_device)
        with trainer.precision_plugin.forward_context():
            found = function(batch)
        values = (*found, batch["index"])
        parts.append([x.float().cpu() if x.is_floating_point() else x.cpu() for x in values])
    *columns, index = map(torch.cat, zip(*gather(trainer, parts), strict=True))
    order = index.argsort()
    return [column[order] for column in columns]
