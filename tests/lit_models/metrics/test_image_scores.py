"""Each image counts alike, whatever batch it came in; nothing that is not finite is passed over."""

import pytest
import torch

from lit_models.metrics.image_scores import ImageMean


def test_batches_count_by_their_images():
    mean = ImageMean()
    mean.update(torch.tensor(1.0), 8)
    mean.update(torch.tensor(2.0), 5)
    assert float(mean.compute()) == pytest.approx(18 / 13)
    mean.reset()
    mean.update(torch.tensor(3.0))
    assert float(mean.compute()) == 3


def test_nan_is_kept():
    mean = ImageMean()
    mean.update(torch.tensor(1.0))
    mean.update(torch.tensor(float("nan")))
    assert mean.compute().isnan()
