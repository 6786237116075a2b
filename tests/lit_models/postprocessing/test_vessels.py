from itertools import pairwise

import pytest
import torch

from lit_models.networks import UNet
from lit_models.postprocessing.vessels import VesselPostprocessor


def asked(inference, net, images):
    return inference.predict(net, images, torch.ones_like(images[:, :1], dtype=torch.bool))


def network():
    torch.manual_seed(0)
    return UNet(widths=(4, 8)).eval()


@torch.no_grad()
def test_tiles_agree_with_the_whole():
    tiled = VesselPostprocessor(tile=64)
    images = torch.randn(1, 1, 150, 203)
    a, b = (asked(i, network(), images)["probability"] for i in (VesselPostprocessor(), tiled))
    assert a.shape == b.shape == images.shape
    # But for what convolutions see beyond a tile's edge.
    assert (a - b).abs().mean() < 0.05 * a.std()
    assert [s.stop - s.start for s in tiled.spans(64)] == [64]
    for side in (65, 100, 129, 1000, 3000):
        spans = tiled.spans(side)
        assert spans[0].start == 0
        assert spans[-1].stop == side
        assert all(a.stop >= b.start + 8 for a, b in pairwise(spans))


@torch.no_grad()
@pytest.mark.parametrize("tta", [4, 8])
def test_views_are_turned_back(tta):
    averaged = VesselPostprocessor(tta=tta)
    images = torch.randn(1, 1, 32, 48)
    mirrored = asked(averaged, network(), images.flip(-1))["probability"].flip(-1)
    found = asked(averaged, network(), images)["probability"]
    assert torch.allclose(found, mirrored, atol=1e-6)
    assert not torch.allclose(
        found, asked(VesselPostprocessor(), network(), images)["probability"], atol=1e-4
    )


@torch.no_grad()
def test_the_scale_of_highest_confidence_is_taken_for_each_image():
    class Confident(torch.nn.Module):
        """Logits that are far from 0 in images of one height."""

        def forward(self, x):
            return x[:, :1] * (9.0 if x.shape[-2] == 32 else 0.5)

    inference = VesselPostprocessor(scales=[1.0, 0.5])
    high, low = torch.randn(2, 1, 64, 48), torch.randn(2, 1, 32, 48)
    for images, scale in ((high, 0.5), (low, 1.0)):
        p = asked(inference, Confident(), images)["probability"]
        assert p.shape == images.shape
        alone = asked(VesselPostprocessor(scales=[scale]), Confident(), images)["probability"]
        assert torch.equal(p, alone)


@torch.no_grad()
@pytest.mark.parametrize("scales", [[1.0], [0.5], [1.0, 0.5]])
def test_the_spread_is_that_of_the_views(scales):
    images = torch.randn(2, 1, 32, 48)
    seen = []

    class Watched(torch.nn.Module):
        """Remembers each view's probability, turned back by hand."""

        def __init__(self):
            super().__init__()
            self.network = network()

        def forward(self, x):
            seen.append(self.network(x))
            return seen[-1]

    mean, spread = asked(VesselPostprocessor(tta=4, scales=scales), Watched(), images).values()
    assert mean.shape == spread.shape == images.shape
    assert 0 <= float(spread.min()) <= float(spread.max()) <= 0.5
    assert torch.equal(
        mean, asked(VesselPostprocessor(tta=4, scales=scales), network(), images)["probability"]
    )
    if scales == [1.0]:
        axes = [(), (-1,), (-2,), (-2, -1)]
        views = torch.stack([s.sigmoid().flip(a) for s, a in zip(seen, axes, strict=True)])
        torch.testing.assert_close(spread, views.std(dim=0, correction=0))


@torch.no_grad()
@pytest.mark.parametrize("scale", [1.0, 0.65])
def test_probabilities_stay_in_range_wherever_they_are_resampled(scale):
    sure = torch.nn.Threshold(99, 99)  # every pixel is vessel
    batch = {"image": torch.zeros(1, 1, 256, 256), "fov": torch.ones(1, 1, 256, 256) > 0}
    batch |= {"input_size": torch.tensor([[256, 256]]), "native_size": torch.tensor([[188, 194]])}
    (found,) = VesselPostprocessor(scales=[scale]).predict_native(sure, batch, True)["probability"]
    assert found.shape == (188, 194)
    assert 0.999 < found.min() <= found.max() <= 1
