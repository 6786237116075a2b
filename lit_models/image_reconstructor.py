"""Reconstruction of fundus photographs.

Reference method: a convolutional autoencoder with skips at three levels, MSE, Adam at 1e-3.
"""

from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from lit_models.metrics.image_mean import ImageMean
from lit_models.metrics.image_scores import by_image, image_scores
from lit_models.optim.configure import configure_optimizer
from lit_models.optim.schedules import StepSchedule
from lit_models.postprocessing.pixels import native_images, to_unit


class ImageReconstructor(pl.LightningModule):
    """Reconstructs images ``(N, C, H, W)`` in [-1, 1].

    The loss is in that range. PSNR (dB) and SSIM are of the range [0, 1], on the network's input
    without its padding, each the mean of the images' own values.

    Batches are dicts with ``image``; in evaluation also ``input_size`` ``(N, 2)``, the size before
    padding, and in predict ``native_size`` ``(N, 2)``, ``name`` and ``index``.

    Args:
        network: copies of images, of the same shape.
        loss: of copies and images.
        optimizer: of all parameters.
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
        self.train_loss = ImageMean()
        names = [
            f"{stage}/{name}" for stage in ("val", "test") for name in ("loss", "psnr", "ssim")
        ]
        self.scores = nn.ModuleDict({name: ImageMean() for name in names})

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruction ``(N, C, H, W)``, not clamped."""
        return self.network(images)

    def training_step(self, batch: dict[str, Any]) -> Tensor:
        images: Tensor = batch["image"]
        loss: Tensor = self.loss(self(images).float(), images.float())
        self.train_loss.update(loss.detach(), len(images))
        return loss

    def _evaluate(self, batch: dict[str, Any], stage: str) -> dict[str, Any]:
        copies, per_image = [], []
        for image, (h, w) in zip(batch["image"], batch["input_size"].tolist(), strict=True):
            truth = image[None, :, :h, :w]
            copy, truth = self(truth).float(), truth.float()
            scores = {"loss": self.loss(copy, truth), **image_scores(to_unit(copy), to_unit(truth))}
            per_image.append(scores)
            for name, value in scores.items():
                self.scores[f"{stage}/{name}"].update(value)  # type: ignore[operator]
            copies.append(F.pad(copy[0], (0, image.shape[-1] - w, 0, image.shape[-2] - h)))
        return {"reconstruction": torch.stack(copies), "scores": by_image(per_image)}

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self._evaluate(batch, "val")

    def test_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self._evaluate(batch, "test")

    def predict_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Reconstructions at the files' sizes, and how well the network's input was reproduced.

        Returns:
            ``name``; ``index``; ``image``, a list of ``(C, H, W)`` float32 in [0, 1], resized back
            if the input was resized; ``psnr`` (dB) and ``ssim``, lists of floats, as `test` has.
        """
        result: dict[str, Any] = {"name": batch["name"], "index": batch["index"]}
        result |= {"image": [], "psnr": [], "ssim": []}
        sizes = zip(batch["input_size"].tolist(), batch["native_size"].tolist(), strict=True)
        for image, ((h, w), native) in zip(batch["image"], sizes, strict=True):
            truth = image[None, :, :h, :w]
            copy = self.network(truth).float()
            result["image"].append(native_images(copy, native)[0])
            for score, value in image_scores(to_unit(copy), to_unit(truth)).items():
                result[score].append(float(value))
        return result

    def on_train_epoch_end(self) -> None:
        self.log("train/loss", self.train_loss)

    def on_validation_epoch_end(self) -> None:
        self.log_dict({k: v for k, v in self.scores.items() if k.startswith("val/")})  # type: ignore[misc]

    def on_test_epoch_end(self) -> None:
        self.log_dict({k: v for k, v in self.scores.items() if k.startswith("test/")})  # type: ignore[misc]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        parameters = self.parameters()
        return configure_optimizer(self, parameters, self.optimizer, self.lr_scheduler)
