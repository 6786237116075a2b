"""Reconstruction of fundus photographs.

Reference method: a convolutional autoencoder with skips at three levels, MSE, Adam at 1e-3.
"""

from typing import Any, ClassVar

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lit_models.base import ImageModule
from lit_models.metrics.image_scores import by_image, image_means, image_scores
from lit_models.optim.schedules import StepSchedule
from lit_models.postprocessing.pixels import native_images, to_unit


class ImageReconstructor(ImageModule):
    """Reconstructs images ``(N, C, H, W)`` in [-1, 1].

    The loss is in that range. PSNR (dB) and SSIM are of the range [0, 1], on the network's input
    without its padding, each the mean of the images' own values.

    Batches are dicts with ``image``; in evaluation also ``input_size`` ``(N, 2)``, the size before
    padding, and in predict ``native_size`` ``(N, 2)``, ``name`` and ``index``.

    Args:
        network: copies of images, of the same shape.
        loss: of copies and images.
        optimizer: optimizer for all parameters.
        lr_scheduler: null leaves the learning rate as it is.
    """

    needs: ClassVar[tuple[str, ...]] = ("image", "input_size")  # of a batch

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: OptimizerCallable,
        lr_scheduler: StepSchedule | LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)  # of whole networks
        self.network, self.loss = network, loss
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.train_scores = image_means("loss")
        self.val_scores = image_means("loss", "psnr", "ssim")
        self.test_scores = image_means("loss", "psnr", "ssim")

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruction ``(N, C, H, W)``, not clamped."""
        return self.network(images)

    def training_step(self, batch: dict[str, Any]) -> Tensor:
        images: Tensor = batch["image"]
        loss: Tensor = self.loss(self(images).float(), images.float())
        self.train_scores["loss"].update(loss.detach(), len(images))
        return loss

    def _copy(self, batch: dict[str, Any]) -> list[tuple[Tensor, Tensor]]:
        """Copy and original of each image, float32 ``(1, C, h, w)`` without its padding."""
        sizes = batch["input_size"].tolist()
        images = [x[None, :, :h, :w] for x, (h, w) in zip(batch["image"], sizes, strict=True)]
        return [(self(image).float(), image.float()) for image in images]

    def evaluate(self, batch: dict[str, Any], scores: MetricCollection) -> dict[str, Any]:
        pairs = self._copy(batch)
        own = [{"loss": self.loss(*pair), **image_scores(*map(to_unit, pair))} for pair in pairs]
        for name, value in ((name, value) for one in own for name, value in one.items()):
            scores[name].update(value)
        return {"reconstruction": [copy[0] for copy, _ in pairs], "scores": by_image(own)}

    def predict_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Reconstructions at the files' sizes, and how well the network's input was reproduced.

        Returns:
            ``name``; ``index``; ``image``, a list of ``(C, H, W)`` float32 in [0, 1], resized back
            if the input was resized; ``psnr`` (dB) and ``ssim``, lists of floats, as `test` has.
        """
        pairs, sizes = self._copy(batch), batch["native_size"].tolist()
        images = [native_images(copy, s)[0] for (copy, _), s in zip(pairs, sizes, strict=True)]
        scores = by_image([image_scores(*map(to_unit, pair)) for pair in pairs])
        listed = {name: values.tolist() for name, values in scores.items()}
        return {"name": batch["name"], "index": batch["index"], "image": images, **listed}
