"""Metrics of generated blots."""

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from lit_models.metrics.image_scores import ImageMean


def eight_bit(images: Tensor) -> Tensor:
    """Images in [-1, 1] as they are written to files, float32 in [0, 1]."""
    return ((images.float() + 1) * 127.5).round().contiguous() / 255


def scores_by_image(fake: Tensor, real: Tensor) -> dict[str, Tensor]:
    """``l1``, ``psnr`` and ``ssim`` ``(N,)`` of blots ``(N, C, H, W)`` in [-1, 1], as 8-bit.

    SSIM has 7x7 windows (Wang et al. 2004, doi 10.1109/TIP.2003.819861).
    """
    fake8, real8 = eight_bit(fake), eight_bit(real)
    unit: tuple[float, float] = (0.0, 1.0)
    with torch.autocast(fake.device.type, enabled=False):
        ssim = structural_similarity_index_measure(
            fake8, real8, False, kernel_size=7, reduction="none", data_range=unit
        )
    assert isinstance(ssim, Tensor)
    psnr = peak_signal_noise_ratio(fake8, real8, data_range=unit, reduction="none", dim=(1, 2, 3))
    return {"l1": (fake8 - real8).abs().mean(dim=(1, 2, 3)), "psnr": psnr, "ssim": ssim}


class BlotScores(MetricCollection):
    """Means of `scores_by_image`, and how often the discriminator (D) is right.

    ``d_accuracy_real`` and ``d_accuracy_fake`` are of the real and the generated ones alone.
    """

    def __init__(self) -> None:
        means = {name: ImageMean() for name in ("l1", "psnr", "ssim")}
        kinds = ("d_accuracy", "d_accuracy_real", "d_accuracy_fake")
        accuracies = {kind: BinaryAccuracy() for kind in kinds}
        super().__init__({**means, **accuracies}, compute_groups=False)

    def update(  # type: ignore[override]
        self, fake: Tensor, real: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> dict[str, Tensor]:
        """Add blots ``(N, C, H, W)`` in [-1, 1] and D's logits ``(N, ...)`` of them.

        Returns:
            `scores_by_image`.
        """
        scores = scores_by_image(fake, real)
        for name, values in scores.items():
            self[name].update(values.mean(), len(values))
        for kind, logits in (("real", real_logits), ("fake", fake_logits)):
            called_real = logits.float().flatten(1).mean(1) > 0
            truth = torch.full_like(called_real, kind == "real")
            for name in ("d_accuracy", f"d_accuracy_{kind}"):
                self[name].update(called_real, truth)
        return scores
