"""A known temperature is found again; intervals and thresholds are those of the books."""

import math

import pytest
import torch

from inference.calibration import (
    accuracy_coverage,
    fit_temperature,
    reliability,
    review_threshold,
    wilson_interval,
)
from lit_models.postprocessing.defects import DefectPostprocessor


@pytest.mark.parametrize("tta", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_classes(temperature, tta):
    torch.manual_seed(0)
    views = 4 if tta else 1
    logits = 2 * torch.randn(1, 20000, 6) + 0.3 * torch.randn(views, 20000, 6)
    probability = DefectPostprocessor(tta).from_logits(logits).exp()
    target = torch.multinomial(probability, 1)[:, 0]
    found = fit_temperature(logits * temperature, target, tta)
    assert found == pytest.approx(temperature, rel=0.05)


def test_nothing_to_learn_where_all_is_right():
    logits = torch.eye(3)[None]
    assert fit_temperature(logits, torch.arange(3), tta=False) == 1.0


def test_wilson():
    low, high = wilson_interval(torch.tensor([0, 5, 10, 0]), torch.tensor([10, 10, 10, 0]))
    # Newcombe 1998, table I has 0.2775 for none of 10; R's prop.test(5, 10, correct=FALSE).
    assert low.tolist() == pytest.approx([0, 0.2366, 0.7225, 0], abs=1e-4)
    assert high.tolist() == pytest.approx([0.2775, 0.7634, 1, 1], abs=1e-4)


def test_reliability_bins():
    bins = reliability(
        torch.tensor([0.55, 0.58, 0.95, 1.0]), torch.tensor([True, False, True, True])
    )
    assert bins.images.tolist() == [2, 2]
    assert bins.accuracy.tolist() == [0.5, 1]
    assert bins.confidence.tolist() == pytest.approx([0.565, 0.975])


def test_coverage_takes_equal_confidences_together():
    confidence = torch.tensor([0.5, 0.9, 0.9, 0.7])
    curve = accuracy_coverage(confidence, torch.tensor([False, True, False, True]))
    assert curve.coverage.tolist() == [0.5, 0.75, 1]
    assert curve.threshold.tolist() == pytest.approx([0.9, 0.7, 0.5])
    assert curve.accuracy.tolist() == pytest.approx([1 / 2, 2 / 3, 2 / 4])


@pytest.mark.parametrize(
    ("max_error", "threshold"), [(0.0, 0.95), (0.25, 0.6), (0.4, 0.5), (0.1, 0.95)]
)
def test_the_least_confidence_that_keeps_the_error(max_error, threshold):
    confidence = torch.tensor([0.95, 0.8, 0.7, 0.6, 0.5])
    correct = torch.tensor([True, False, True, True, False])
    assert review_threshold(confidence, correct, max_error) == pytest.approx(threshold)


def test_no_confidence_is_enough():
    assert review_threshold(torch.tensor([0.9, 0.8]), torch.tensor([False, True]), 0.1) == math.inf
