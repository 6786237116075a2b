"""Means over images; scores of generated or reconstructed images."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

SSIM_RADIUS = 5  # of its Gaussian window


class ImageMean(Metric):
    """The mean over all images of all processes; NaN if any value is.

    In place of torchmetrics' `MeanMetric`, which with ``nan_strategy="disable"`` takes no notice of
    the weights (1.9), and without it leaves NaN out and asks the device for it in each step.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor | float, count: int = 1) -> None:
        """Add the mean ``value`` of ``count`` images."""
        self.total += torch.as_tensor(value).detach().float() * count
        self.count += count

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.total / self.count


def image_means(*names: str) -> MetricCollection:
    """An `ImageMean` for each name."""
    return MetricCollection({name: ImageMean() for name in names}, compute_groups=False)


def by_image(scores: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """``{"psnr": (N,), ...}`` of the scores of N images by name, which all of them have."""
    return {name: torch.stack([one[name].flatten()[0] for one in scores]) for name in scores[0]}


def image_scores(copy: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """PSNR in dB and SSIM of one image ``(1, C, H, W)`` in [0, 1], in float32.

    SSIM is NaN where a side of the image is no longer than the radius of its window, 5 px.
    """
    psnr = peak_signal_noise_ratio(copy, truth, data_range=1.0)
    if min(copy.shape[-2:]) <= SSIM_RADIUS:
        return {"psnr": psnr, "ssim": torch.tensor(torch.nan)}
    return {"psnr": psnr, "ssim": ssim(copy, truth)[0]}


def ssim(copies: Tensor, truth: Tensor) -> Tensor:
    """SSIM ``(N,)`` of images ``(N, C, H, W)`` in [0, 1], in float32."""
    with torch.autocast(copies.device.type, enabled=False):  # it has convolutions
        found = structural_similarity_index_measure(copies, truth, data_range=1.0, reduction="none")
    return cast(Tensor, found)


def eight_bit(images: Tensor) -> Tensor:
    """Images in [-1, 1] as they are written to files, float32 in [0, 1]."""
    return ((images.float() + 1) * 127.5).round().contiguous() / 255


def blot_scores(fake: Tensor, real: Tensor) -> dict[str, Tensor]:
    """``l1``, ``psnr`` and ``ssim`` ``(N,)`` of blots ``(N, C, H, W)`` in [-1, 1], as 8-bit.

    SSIM has 7x7 windows (Wang et al. 2004, doi 10.1109/TIP.2003.819861).
    """
    fake8, real8 = eight_bit(fake), eight_bit(real)
    unit: tuple[float, float] = (0.0, 1.0)
    with torch.autocast(fake.device.type, enabled=False):
        found = structural_similarity_index_measure(
            fake8, real8, False, kernel_size=7, reduction="none", data_range=unit
        )
    psnr = peak_signal_noise_ratio(fake8, real8, data_range=unit, reduction="none", dim=(1, 2, 3))
    l1 = (fake8 - real8).abs().mean(dim=(1, 2, 3))
    return {"l1": l1, "psnr": psnr, "ssim": cast(Tensor, found)}


class BlotScores(MetricCollection):
    """Means of `blot_scores`, and how often the discriminator (D) is right.

    ``d_accuracy_real`` and ``d_accuracy_fake`` are of the real and the generated ones alone.
    """

    def __init__(self) -> None:
        names = ("l1", "psnr", "ssim", "d_accuracy", "d_accuracy_real", "d_accuracy_fake")
        super().__init__({name: ImageMean() for name in names}, compute_groups=False)

    def update(  # type: ignore[override]
        self, fake: Tensor, real: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> dict[str, Tensor]:
        """Add blots ``(N, C, H, W)`` in [-1, 1] and D's logits ``(N, ...)`` of them.

        Returns:
            `blot_scores`.
        """
        own = blot_scores(fake, real)
        called_real = [x.float().flatten(1).mean(1) > 0 for x in (real_logits, fake_logits)]
        right = {"d_accuracy_real": called_real[0], "d_accuracy_fake": ~called_real[1]}
        right["d_accuracy"] = torch.cat([*right.values()])
        for name, values in {**own, **right}.items():
            self[name].update(values.float().mean(), len(values))
        return own
