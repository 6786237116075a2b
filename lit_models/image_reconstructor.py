"""Reconstruction of fundus photographs: the reference's autoencoder, and an honest compression."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from lit_models.compressor import Compressor
from lit_models.unet import AutoEncoder, Norm

log = logging.getLogger(__name__)


def to_unit(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1] in float32, clamped, as an 8-bit file could hold it but not rounded."""
    return ((images.float() + 1) / 2).clamp(0, 1)


class ImageReconstructor(pl.LightningModule):
    """Reconstructs images ``(N, in_channels, H, W)`` in [-1, 1]; the defaults are the reference's.

    The loss is the mean squared error in [-1, 1]. PSNR (dB) and SSIM are of the range [0, 1], on
    the network's input without its padding, each the mean of the images' own values.

    Args:
        in_channels: of the images.
        widths: channels at each level of the encoder-decoder.
        skips: concatenate features on the way up; they carry the picture at full resolution.
        norm: "batch" or "none", see `DoubleConv`; a `Compressor` has none.
        latent_channels: compress to this many 8-bit integers a block, see `Compressor`; needs
            ``skips=False``. None is the reference's plain autoencoder, whose lowest level holds
            more values than the image.
        patch, step, dead_zone: see `Compressor`; read only with ``latent_channels``.
        rate_weight: weight of the estimated bits a pixel beside the squared error, likewise;
            ``val/objective`` is their sum, by which to choose an epoch.
        lr: Adam's learning rate.
        linear_lr: that of the `Compressor`'s linear transform.
        schedule: "constant" or "cosine", which ends at zero.
    """

    def __init__(
        self,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        skips: bool = True,
        norm: Norm = "batch",
        latent_channels: int | None = None,
        patch: int = 4,
        step: float | None = None,
        dead_zone: float = 0.0,
        rate_weight: float = 0.0,
        lr: float = 1e-3,
        linear_lr: float = 1e-4,
        schedule: Literal["constant", "cosine"] = "constant",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network: AutoEncoder | Compressor
        if latent_channels is None:
            self.network = AutoEncoder(in_channels, widths, skips, norm)
        elif skips:
            raise ValueError("latent_channels compresses nothing with skips; set skips to false")
        else:
            self.network = Compressor(in_channels, latent_channels, widths, patch, step, dead_zone)
        metrics = MetricCollection(
            {
                "psnr": PeakSignalNoiseRatio(1.0, dim=(1, 2, 3), reduction="elementwise_mean"),
                "ssim": StructuralSimilarityIndexMeasure(data_range=1.0),
            }
        )
        self.val_metrics = metrics.clone("val/")
        self.test_metrics = metrics.clone("test/")

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruction ``(N, in_channels, H, W)``, not clamped."""
        return self.network(images)

    def on_fit_start(self) -> None:
        """Fit a `Compressor`'s linear transform to the training images, unless it goes on."""
        if not isinstance(self.network, Compressor) or self.network.fitted:
            return
        photographs = self.trainer.datamodule.train_set.datasets[0]  # type: ignore[attr-defined]
        images = [item["image"].to(self.device) for item in photographs]
        self.network.fit_linear(images)
        shape = self.network.latent_shape(*images[0].shape[-2:])
        fewer = images[0].numel() / (shape[0] * shape[1] * shape[2])
        log.info("latent %d x %d x %d of 8 bits, %.3g times fewer values", *shape, fewer)

    def _log(self, name: str, value: Tensor, count: int) -> None:
        self.log(name, value, on_step=False, on_epoch=True, batch_size=count, sync_dist=True)

    def _reconstruct(self, images: Tensor, stage: str) -> tuple[Tensor, Tensor]:
        """Float32 copies, and the estimated bits a pixel: 0 where nothing is compressed."""
        if not isinstance(self.network, Compressor):
            return self(images).float(), images.new_zeros(())
        copies, bits = self.network.reconstruct(images)
        bits_per_pixel = bits / images[:, 0].numel()
        self._log(f"{stage}/bits_per_pixel", bits_per_pixel, len(images))
        return copies.float(), bits_per_pixel

    def training_step(self, batch: dict[str, Any]) -> Tensor:
        images: Tensor = batch["image"]
        copies, bits_per_pixel = self._reconstruct(images, "train")
        error = F.mse_loss(copies, images.float())
        self._log("train/loss", error, len(images))
        return error + self.hparams["rate_weight"] * bits_per_pixel

    def _evaluate(self, batch: dict[str, Any], stage: str, metrics: MetricCollection) -> Tensor:
        """Log loss and metrics of each image without its padding; returns the copies."""
        images: Tensor = batch["image"]
        copies, bits_per_pixel = self._reconstruct(images, stage)
        for image, copy, (h, w) in zip(images, copies, batch["input_size"].tolist(), strict=True):
            image, copy = image[None, :, :h, :w].float(), copy[None, :, :h, :w]
            error = F.mse_loss(copy, image)
            self._log(f"{stage}/loss", error, 1)
            objective = error + self.hparams["rate_weight"] * bits_per_pixel
            self._log(f"{stage}/objective", objective, 1)
            with torch.autocast(self.device.type, enabled=False):  # SSIM has convolutions
                metrics.update(to_unit(copy), to_unit(image))
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(images))
        return copies

    def validation_step(self, batch: dict[str, Any]) -> Tensor:
        return self._evaluate(batch, "val", self.val_metrics)

    def test_step(self, batch: dict[str, Any]) -> Tensor:
        return self._evaluate(batch, "test", self.test_metrics)

    def predict_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Reconstructions at the files' sizes, and how well the network's input was reproduced.

        Returns:
            ``name``; ``image``, a list of ``(C, H, W)`` float32 in [0, 1], resized back if the
            input was resized; ``psnr`` (dB) and ``ssim`` lists of floats, as `test` scores them.
        """
        copies = self(batch["image"])
        sizes = zip(batch["input_size"].tolist(), batch["native_size"].tolist(), strict=True)
        result: dict[str, Any] = {"name": batch["name"], "image": [], "psnr": [], "ssim": []}
        for image, copy, ((h, w), native) in zip(batch["image"], copies, sizes, strict=True):
            truth, unit = to_unit(image[None, :, :h, :w]), to_unit(copy[None, :, :h, :w])
            result["psnr"].append(float(peak_signal_noise_ratio(unit, truth, data_range=1.0)))
            with torch.autocast(self.device.type, enabled=False):
                ssim = structural_similarity_index_measure(unit, truth, data_range=1.0)
            result["ssim"].append(float(ssim))  # type: ignore[arg-type]
            if [h, w] != native:
                unit = F.interpolate(unit, native, mode="bicubic", antialias=True).clamp(0, 1)
            result["image"].append(unit[0])
        return result

    def configure_optimizers(self) -> OptimizerLRScheduler:
        linear = self.network.linear_parameters if isinstance(self.network, Compressor) else []
        apart = {id(p) for p in linear}
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.parameters() if id(p) not in apart]}
        ]
        if linear:
            groups.append({"params": linear, "lr": self.hparams["linear_lr"]})
        adam = torch.optim.Adam(groups, self.hparams["lr"])
        if self.hparams["schedule"] == "constant":
            return {"optimizer": adam}
        steps = int(self.trainer.estimated_stepping_batches)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}
