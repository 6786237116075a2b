"""Compression of fundus photographs: reconstruction through a small grid of integers."""

import logging
from typing import Any

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from common.ranges import NonNegativeFinite
from lit_models.image_reconstructor import ImageReconstructor
from lit_models.metrics.image_mean import ImageMean
from lit_models.metrics.image_scores import image_scores
from lit_models.networks.compressor import Compressor
from lit_models.optim.configure import configure_optimizer
from lit_models.optim.schedules import StepSchedule
from lit_models.prediction.pixels import to_unit

log = logging.getLogger(__name__)


class ImageCompressor(ImageReconstructor):
    """An `ImageReconstructor` that weighs the error against the bits a pixel it needs.

    ``<stage>/bits_per_pixel`` is the network's own estimate; ``<stage>/objective`` is what is
    minimized, by which to choose an epoch.

    Args:
        network: the compressor.
        loss: of copies and images.
        optimizer: of all parameters.
        lr_scheduler: null leaves the learning rates as they are.
        rate_weight: of the estimated bits a pixel beside the loss.
        linear_lr: learning rate of the network's linear transform.
    """

    means = ("loss", "psnr", "ssim", "bits_per_pixel", "objective")

    def __init__(
        self,
        network: Compressor,
        loss: nn.Module,
        optimizer: OptimizerCallable,
        lr_scheduler: StepSchedule | LRSchedulerCallable | None = None,
        rate_weight: NonNegativeFinite = 0.00001,
        linear_lr: NonNegativeFinite = 0.0001,
    ) -> None:
        super().__init__(network, loss, optimizer, lr_scheduler)
        self.network: Compressor
        # Plain, for the optimizer's state goes into checkpoints that hold nothing else.
        self.rate_weight, self.linear_lr = float(rate_weight), float(linear_lr)
        self.train_bits_per_pixel = ImageMean()

    def on_train_start(self) -> None:
        """Fit the linear transform to the training images, unless the run is a resumed one."""
        if self.network.fitted:
            return
        dataset = self.trainer.train_dataloader.dataset  # type: ignore[union-attr]
        items = (dataset[i] for i in range(len(dataset)))
        images = list({int(item["index"]): item["image"] for item in items}.values())
        self.network.fit_linear(images)
        shape = self.network.latent_shape(*images[0].shape[-2:])
        fewer = images[0].numel() / (shape[0] * shape[1] * shape[2])
        log.info("latent %d x %d x %d of 8 bits, %.3g times fewer values", *shape, fewer)

    def training_step(self, batch: dict[str, Any]) -> Tensor:
        images: Tensor = batch["image"]
        copies, bits = self.network.reconstruct(images)
        bits_per_pixel = bits / images[:, 0].numel()
        loss: Tensor = self.loss(copies.float(), images.float())
        self.train_loss.update(loss.detach(), len(images))
        self.train_bits_per_pixel.update(bits_per_pixel.detach(), len(images))
        return loss + self.rate_weight * bits_per_pixel

    def score(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        copy, bits = self.network.reconstruct(image)
        copy, image = copy.float(), image.float()
        loss, rate = self.loss(copy, image), bits / image[:, 0].numel()
        scores = {"loss": loss, "bits_per_pixel": rate, "objective": loss + self.rate_weight * rate}
        return copy, scores | image_scores(to_unit(copy), to_unit(image))

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("train/bits_per_pixel", self.train_bits_per_pixel)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        linear = self.network.linear_parameters
        apart = {id(p) for p in linear}
        groups = [
            {"params": [p for p in self.parameters() if id(p) not in apart]},
            {"params": linear, "lr": self.linear_lr},
        ]
        return configure_optimizer(self, groups, self.optimizer, self.lr_scheduler)
