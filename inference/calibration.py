"""Calibration of a classifier: temperature, reliability, coverage, review threshold.

Source: Guo et al., "On calibration of modern neural networks", 2017 (arXiv 1706.04599).
"""

import math
from typing import NamedTuple

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from lit_models.postprocessing.defects import DefectPostprocessor

RANGE = (0.05, 20.0)  # of temperatures
Z = 1.96  # standard deviations of a 95 % interval


def fit_temperature(logits: Tensor, target: Tensor, tta: bool) -> float:
    """The temperature of the least cross-entropy, by a search along its logarithm.

    Args:
        logits: of each view ``(V, N, K)``, as `DefectPostprocessor.logits` returns them.
        target: classes ``(N,)``.
        tta: as the model is asked.

    Returns:
        1 where no image is classified wrong: then nothing tells how sure is too sure.
    """

    def loss(log_temperature: float) -> float:
        asked = DefectPostprocessor(tta, temperature=math.exp(log_temperature))
        log_probs = asked.from_logits(logits.double())
        return float(torch.nn.functional.nll_loss(log_probs, target))

    labels = DefectPostprocessor(tta).from_logits(logits).argmax(dim=1)
    if bool((labels == target).all()):
        return 1.0
    found = minimize_scalar(loss, bounds=[math.log(limit) for limit in RANGE], method="bounded")
    return float(math.exp(found.x))


def wilson_interval(right: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """95 % interval of shares ``right / count``, each ``(N,)`` (Wilson 1927); 0 to 1 for none."""
    n = count.double().clamp_min(1)
    share = right.double() / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (share * (1 - share) / n + (Z / (2 * n)) ** 2).sqrt()
    none = count == 0
    return (middle - half).masked_fill(none, 0), (middle + half).masked_fill(none, 1)


class Reliability(NamedTuple):
    """Bins of equal width by confidence, those without images left out.

    Mean ``confidence``, ``accuracy`` and its 95 % interval ``low`` to ``high``, number of
    ``images``, each ``(B,)``.
    """

    confidence: Tensor
    accuracy: Tensor
    low: Tensor
    high: Tensor
    images: Tensor


def reliability(confidence: Tensor, correct: Tensor, bins: int = 10) -> Reliability:
    """Accuracy by confidence, of images ``(N,)``."""
    place = (confidence.double() * bins).long().clamp(0, bins - 1)
    count = torch.bincount(place, minlength=bins)
    right = torch.bincount(place, correct.double(), minlength=bins)
    total = torch.bincount(place, confidence.double(), minlength=bins)
    low, high = wilson_interval(right, count)
    columns = total / count, right / count, low, high, count
    return Reliability(*(column[count > 0] for column in columns))


class Coverage(NamedTuple):
    """The most confident part of the images, from one image to all.

    ``coverage`` (the part), ``threshold`` (its least confidence), ``accuracy`` and its 95 %
    interval ``low`` to ``high``: ``(M,)``. Images of one confidence come together.
    """

    coverage: Tensor
    threshold: Tensor
    accuracy: Tensor
    low: Tensor
    high: Tensor


def accuracy_coverage(confidence: Tensor, correct: Tensor) -> Coverage:
    """How accurate the most confident images are, of images ``(N,)``."""
    order = confidence.argsort(descending=True, stable=True)
    threshold, right = confidence[order], correct[order].double().cumsum(0)
    count = torch.arange(1, len(order) + 1)
    ends = torch.cat([threshold[1:] != threshold[:-1], torch.tensor([True])])  # of equal ones
    count, right, threshold = count[ends], right[ends], threshold[ends]
    low, high = wilson_interval(right, count)
    return Coverage(count / len(order), threshold, right / count, low, high)


def review_threshold(confidence: Tensor, correct: Tensor, max_error: float) -> float:
    """The least confidence above which no more than ``max_error`` of the images were wrong.

    Args:
        confidence, correct: of held-out images ``(N,)``.
        max_error: as a share, 0 to 1.

    Returns:
        Infinity where even the most confident images are wrong more often.
    """
    curve = accuracy_coverage(confidence, correct)
    fit = 1 - curve.accuracy <= max_error
    return float(curve.threshold[fit][-1]) if bool(fit.any()) else math.inf
