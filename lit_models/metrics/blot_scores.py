"""Metrics of generated blots."""

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanMetric, Metric
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchmetrics.image import StructuralSimilarityIndexMeasure

from lit_models.metrics.kid import BlotKID


class PSNR(MeanMetric):
    """Peak signal-to-noise ratio in dB of images in [0, 1], the mean of the images' own values."""

    def update(self, preds: Tensor, target: Tensor) -> None:  # type: ignore[override]
        values = peak_signal_noise_ratio(
            preds, target, data_range=(0.0, 1.0), reduction="none", dim=(1, 2, 3)
        )
        super().update(values)


def image_metrics() -> dict[str, Metric]:
    """Against the real blot, both in [0, 1]; SSIM has 7x7 windows (Wang et al. 2004)."""
    return {
        "l1": MeanAbsoluteError(),
        "psnr": PSNR(),
        "ssim": StructuralSimilarityIndexMeasure(
            data_range=(0.0, 1.0), gaussian_kernel=False, kernel_size=7
        ),
    }


def _eight_bit(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Blots in [-1, 1] as they are written to files, in [0, 1]."""
    fake8, real8 = (((x + 1) * 127.5).round().contiguous() / 255 for x in (fake, real))
    return fake8, real8


def scores_by_image(fake: Tensor, real: Tensor) -> dict[str, Tensor]:
    """``l1``, ``psnr`` and ``ssim`` ``(N,)`` of blots ``(N, 1, H, W)`` in [-1, 1], as 8-bit."""
    fake8, real8 = _eight_bit(fake.float(), real.float())
    unit: tuple[float, float] = (0.0, 1.0)
    with torch.autocast(fake.device.type, enabled=False):
        ssim = structural_similarity_index_measure(
            fake8, real8, False, kernel_size=7, reduction="none", data_range=unit
        )
    assert isinstance(ssim, Tensor)
    psnr = peak_signal_noise_ratio(fake8, real8, data_range=unit, reduction="none", dim=(1, 2, 3))
    return {"l1": (fake8 - real8).abs().mean(dim=(1, 2, 3)), "psnr": psnr, "ssim": ssim}


class BlotScores(nn.Module):
    """L1, PSNR, SSIM and KID of 8-bit images, and how often the discriminator (D) is right.

    ``d_accuracy_real`` and ``d_accuracy_fake`` are of the real and the generated ones alone.

    Args:
        kid_weights: see `BlotKID`.
    """

    def __init__(self, kid_weights: str | None = None) -> None:
        super().__init__()
        self.images = nn.ModuleDict(dict(image_metrics()))
        self.kid = BlotKID(kid_weights)
        kinds = ("d_accuracy", "d_accuracy_real", "d_accuracy_fake")
        self.accuracies = nn.ModuleDict({kind: BinaryAccuracy() for kind in kinds})

    def update(self, fake: Tensor, real: Tensor, real_logits: Tensor, fake_logits: Tensor) -> None:
        """Add blots ``(N, 1, H, W)`` in [-1, 1] and D's logits ``(N, ...)`` of them."""
        # Of the 8-bit image, as it is written to a file; in float32, for SSIM has convolutions.
        fake8, real8 = _eight_bit(fake, real)
        with torch.autocast(fake.device.type, enabled=False):
            for metric in self.images.values():
                metric.update(fake8, real8)  # type: ignore[operator]
            self.kid.update(fake8, real=False)
            self.kid.update(real8, real=True)
        for kind, logits in (("real", real_logits), ("fake", fake_logits)):
            called_real = logits.float().flatten(1).mean(1) > 0
            truth = torch.full_like(called_real, kind == "real")
            for name in ("d_accuracy", f"d_accuracy_{kind}"):
                self.accuracies[name].update(called_real, truth)  # type: ignore[operator]

    def compute_and_reset(self) -> dict[str, Tensor]:
        """The scores over all processes, by name."""
        metrics = {**self.images, self.kid.name: self.kid, **self.accuracies}
        values = {name: metric.compute() for name, metric in metrics.items()}  # type: ignore[operator]
        for metric in metrics.values():
            metric.reset()  # type: ignore[operator]
        return values
