"""Vessel segmentation of fundus photographs: a U-Net and the Focal Tversky loss."""

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MetricCollection

from lit_models.focal_tversky import FocalTverskyLoss
from lit_models.residual_unet import ResidualUNet
from lit_models.unet import UNet
from lit_models.vessel_scores import vessel_scores


class VesselSegmenter(pl.LightningModule):
    """Vessel probabilities from fundus photographs ``(N, in_channels, H, W)`` of any size.

    The defaults are the reference's method. Validation and test score at the native size: the
    probabilities are resized back first. Scores of ``<stage>/fov/`` are of the pixels inside the
    field of view and exist where its masks do, ``<stage>/frame/`` of all pixels; ``_pooled`` is
    over the pixels of all images, ``_image_mean`` the mean of the images' own scores. AUROC is
    binned, see `BinnedAUROC`.

    Args:
        network: "unet", see `UNet`, or "residual_unet", see `ResidualUNet`.
        in_channels: of the images; 1 is gray.
        widths: channels at each level of the network.
        loss: "focal_tversky", "bce" (cross-entropy) or "bce_dice" (with Dice loss added).
        fov_only: leave pixels outside the field of view out of the loss, and call none of them
            vessel; the field of view is estimated where an image has no mask of it.
        fn_weight, fp_weight, exponent: see `FocalTverskyLoss`.
        optimizer: "adam" with ReduceLROnPlateau (factor 0.5, patience 5) on ``val/loss``, or
            "adamw_one_cycle" with one cycle over all of the training: up for 15 % of the steps,
            then down to 0 by a cosine.
        lr: learning rate, of the one cycle its peak.
        weight_decay: of AdamW, on convolution weights alone.
        threshold: probability above which a pixel is called vessel. Like the next three it is not
            of the checkpoint but of the config, so that it can be set after training; choose it by
            ``val/fov/best_threshold_pooled``.
        views: how many views of an image to average: 1, with its mirror images 4, with the
            quarter turns of these 8.
        scales: sizes at which to look at an image, of which the surest is taken: the one with the
            greatest expected precision, sum(p^2) / sum(p). Cameras of a narrower angle show wider
            vessels in the same field of view.
        tile: side in px, 64 or more, above which an image is cut into tiles that overlap by an
            eighth or a little more.
    """

    def __init__(
        self,
        network: Literal["unet", "residual_unet"] = "unet",
        in_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        loss: Literal["focal_tversky", "bce", "bce_dice"] = "focal_tversky",
        fov_only: bool = False,
        fn_weight: float = 0.5,
        fp_weight: float = 0.5,
        exponent: float = 0.75,
        optimizer: Literal["adam", "adamw_one_cycle"] = "adam",
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        threshold: float = 0.5,
        views: Literal[1, 4, 8] = 1,
        scales: Sequence[float] = (1.0,),
        tile: int = 768,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["threshold", "views", "scales", "tile"])
        self.threshold, self.views, self.tile = threshold, views, tile
        self.scales = list(scales)
        nets = {"unet": UNet, "residual_unet": ResidualUNet}
        self.network = nets[network](in_channels, 1, widths)
        self.focal_tversky = FocalTverskyLoss(fn_weight, fp_weight, exponent)
        self.dice = FocalTverskyLoss(0.5, 0.5, exponent=1.0)
        self.scores = nn.ModuleDict(
            {
                f"{stage}_{region}": vessel_scores(
                    f"{stage}/{region}/", threshold, find_threshold=stage == "val"
                )
                for stage in ("val", "test")
                for region in ("fov", "frame")
            }
        )

    def forward(self, images: Tensor) -> Tensor:
        """Vessel logits ``(N, 1, H, W)``."""
        return self.network(images)

    def probability(self, images: Tensor, fov: Tensor | None = None) -> Tensor:
        """Vessel probability ``(N, 1, H, W)`` float32, by scale, views and tiles as configured."""
        if len(self.scales) == 1:
            return self._viewed(images, self.scales[0], self.views)
        found = []
        for i in range(len(images)):
            image, inside = images[i : i + 1], 1.0 if fov is None else fov[i : i + 1]
            sureness = []
            for scale in self.scales:
                p = self._viewed(image, scale, views=1) * inside
                sureness.append(p.square().sum() / p.sum().clamp_min(1e-6))
            surest = int(torch.stack(sureness).argmax())
            found.append(self._viewed(image, self.scales[surest], self.views))
        return torch.cat(found)

    def _viewed(self, images: Tensor, scale: float, views: int) -> Tensor:
        size = images.shape[-2:]
        if scale != 1:
            scaled = [max(1, round(side * scale)) for side in size]
            images = F.interpolate(images, scaled, mode="bilinear", antialias=True)
        total = torch.zeros(())
        for view in range(views):
            axes = [(), (-1,), (-2,), (-2, -1)][view % 4]
            turned = images.rot90(view // 4, (-2, -1)).flip(axes)
            logits = self._tiled(turned).flip(axes).rot90(-(view // 4), (-2, -1))
            total = total.to(logits) + logits.sigmoid()
        if scale != 1:
            total = F.interpolate(total, size, mode="bilinear", antialias=True)
        return total / views

    def _tiled(self, images: Tensor) -> Tensor:
        """Logits as `forward`, float32, in memory that does not grow with the image but slightly.

        Where tiles overlap, each counts by how far a pixel lies from its edge, for a convolution
        knows nothing beyond it.
        """
        height, width = images.shape[-2:]
        if max(height, width) <= self.tile:
            return self(images).float()
        total = images.new_zeros(len(images), 1, height, width, dtype=torch.float32)
        weights = torch.zeros_like(total)
        for rows in self._spans(height):
            for columns in self._spans(width):
                logits = self(images[..., rows, columns]).float()
                ramps = (
                    torch.arange(1, n + 1, device=total.device).minimum(
                        torch.arange(n, 0, -1, device=total.device)
                    )
                    for n in logits.shape[-2:]
                )
                down, across = (ramp.clamp_max(self.tile // 8).float() for ramp in ramps)
                weight = (down[:, None] * across).square()
                total[..., rows, columns] += weight * logits
                weights[..., rows, columns] += weight
        return total / weights

    def _spans(self, side: int) -> list[slice]:
        """Tiles along a side: as few as overlap by an eighth, at even distances of whole 32 px."""
        if side <= self.tile:
            return [slice(0, side)]
        step = self.tile * 7 // 8 // 32 * 32
        count = math.ceil((side - self.tile) / step) + 1
        starts = [(side - self.tile) * i // (count - 1) // 32 * 32 for i in range(count)]
        tiles = [slice(start, start + self.tile) for start in starts[:-1]]
        return [*tiles, slice(starts[-1], side)]

    def native_maps(self, probability: Tensor, batch: dict[str, Any]) -> list[Tensor]:
        """Each image's probability ``(H, W)`` at the size of its file."""
        if self.hparams["fov_only"]:
            probability = probability * batch["fov"]
        sizes = zip(batch["input_size"].tolist(), batch["native_size"].tolist(), strict=True)
        return [
            p[0, :h, :w]
            if [h, w] == native
            else F.interpolate(p[None, :, :h, :w], native, mode="bilinear", antialias=True)[0, 0]
            for p, ((h, w), native) in zip(probability, sizes, strict=True)
        ]

    def loss(self, logits: Tensor, batch: dict[str, Any]) -> Tensor:
        """Scalar float32 loss of logits ``(N, C, H, W)``, each channel against the vessels."""
        target = batch["vessels"].float().expand_as(logits)
        region = batch["fov"].float().expand_as(logits) if self.hparams["fov_only"] else None
        if self.hparams["loss"] == "focal_tversky":
            return self.focal_tversky(logits, target, region)
        bce = F.binary_cross_entropy_with_logits(logits.float(), target, region, reduction="sum")
        bce = bce / (target.numel() if region is None else region.sum().clamp_min(1))
        return bce if self.hparams["loss"] == "bce" else bce + self.dice(logits, target, region)

    def _log_loss(self, stage: str, loss: Tensor, count: int) -> None:
        name = f"{stage}/loss"
        self.log(name, loss, on_step=False, on_epoch=True, batch_size=count, sync_dist=True)

    def training_step(self, batch: dict[str, Any]) -> Tensor:
        loss = self.loss(self(batch["image"]), batch)
        self._log_loss("train", loss, len(batch["image"]))
        return loss

    def _evaluate(self, batch: dict[str, Any], stage: str) -> dict[str, Any]:
        """Log the loss and scores of the images; returns what `predict_step` does."""
        probability = self.probability(batch["image"], batch["fov"])
        self._log_loss(stage, self.loss(probability.logit(1e-6), batch), len(probability))
        maps = self.native_maps(probability, batch)
        for p, truth, fov in zip(maps, batch["native_vessels"], batch["native_fov"], strict=True):
            regions = {"frame": torch.ones_like(truth[0])}
            if fov is not None:
                regions["fov"] = fov[0]
            for region, inside in regions.items():
                pooled = cast(MetricCollection, self.scores[f"{stage}_{region}"])
                own = pooled(p[inside], truth[0][inside].long())
                self.log_dict(pooled, on_step=False, on_epoch=True, batch_size=1)
                mean = {f"{k.removesuffix('_pooled')}_image_mean": v for k, v in own.items()}
                self.log_dict(mean, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
        return {"name": batch["name"], "probability": maps}

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self._evaluate(batch, "val")

    def test_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self._evaluate(batch, "test")

    def predict_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """``name``, and ``probability``: one ``(H, W)`` float32 map a file, at the file's size."""
        maps = self.native_maps(self.probability(batch["image"], batch["fov"]), batch)
        return {"name": batch["name"], "probability": maps}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        lr = self.hparams["lr"]
        if self.hparams["optimizer"] == "adam":
            adam = torch.optim.Adam(self.parameters(), lr)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                adam, "min", factor=0.5, patience=5
            )
            return {
                "optimizer": adam,
                "lr_scheduler": {"scheduler": plateau, "monitor": "val/loss"},
            }
        kernels = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": kernels},
            {"params": others, "weight_decay": 0.0},
        ]
        adamw = torch.optim.AdamW(groups, lr, weight_decay=self.hparams["weight_decay"])
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            adamw, lr, steps, pct_start=0.15, cycle_momentum=False
        )
        return {"optimizer": adamw, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
