import math

import pytest
import torch

from lit_models.postprocessing.defects import DefectPostprocessor, review_threshold


class Corner(torch.nn.Module):
    """Logits that depend on which way the image is turned."""

    def forward(self, x):
        return torch.stack([x[:, 0, 0, 0], x[:, 0, -1, -1] * 2], dim=1)


def log_probabilities(inference, images):
    return inference.from_logits(inference.features_and_logits(Corner(), images)[1])


@pytest.mark.parametrize(
    ("count", "axes"), [(4, [(), (3,), (2,), (2, 3)]), (2, [(), (2, 3)])], ids=["4", "2"]
)
def test_tta_averages_probabilities_over_mirror_images(count, axes):
    images = torch.randn(3, 3, 8, 8)
    plain, averaged = DefectPostprocessor(), DefectPostprocessor(tta=True, views=count)
    mean = torch.stack([Corner()(images.flip(one)).softmax(1) for one in axes]).mean(0)
    found = log_probabilities(averaged, images)
    torch.testing.assert_close(found.exp(), mean)
    torch.testing.assert_close(log_probabilities(averaged, images.flip(axes[-1])), found)
    assert not torch.allclose(log_probabilities(plain, images), found)


def test_no_infinite_loss_where_a_probability_underflows():
    found = log_probabilities(DefectPostprocessor(tta=True), torch.full((1, 3, 4, 4), 500.0))
    assert found.isfinite().all()
    assert found[0, 0] == -500


@pytest.mark.parametrize("tta", [False, True])
def test_the_temperature_divides_the_logits_of_each_view(tta):
    images = torch.randn(3, 3, 8, 8)
    found = log_probabilities(DefectPostprocessor(tta, temperature=2.5), images)
    _, logits = DefectPostprocessor(tta).features_and_logits(Corner(), images)
    assert logits.shape == (4 if tta else 1, 3, 2)
    torch.testing.assert_close(found.exp(), (logits / 2.5).softmax(-1).mean(0))
    one = log_probabilities(DefectPostprocessor(tta, temperature=1.0), images)
    assert torch.equal(one, log_probabilities(DefectPostprocessor(tta), images))


@pytest.mark.parametrize(
    ("max_error", "threshold"), [(0.0, 0.95), (0.25, 0.6), (0.4, 0.5), (0.1, 0.95)]
)
def test_the_least_confidence_that_keeps_the_error(max_error, threshold):
    confidence = torch.tensor([0.95, 0.8, 0.7, 0.6, 0.5])
    correct = torch.tensor([True, False, True, True, False])
    assert review_threshold(confidence, correct, max_error) == pytest.approx(threshold)


def test_equal_confidences_come_together_and_none_may_be_enough():
    confidence, correct = torch.tensor([0.9, 0.9, 0.8]), torch.tensor([True, False, True])
    assert review_threshold(confidence, correct, 0.1) == math.inf
    assert review_threshold(confidence, correct, 0.34) == pytest.approx(0.8)
