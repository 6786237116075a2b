from itertools import pairwise

import pytest
import torch

from common.errors import DataError
from lit_models.networks import UNet
from lit_models.postprocessing.vessels import VesselPostprocessor, native_maps, scaled_down


def network():
    torch.manual_seed(0)
    return UNet(widths=(4, 8)).eval()


@torch.no_grad()
def test_tiles_agree_with_the_whole():
    tiled = VesselPostprocessor(tile=64)
    images = torch.randn(1, 1, 150, 203)
    a, b = (i.predict(network(), images)[0] for i in (VesselPostprocessor(), tiled))
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
    mirrored = averaged.predict(network(), images.flip(-1))[0].flip(-1)
    found = averaged.predict(network(), images)[0]
    assert torch.allclose(found, mirrored, atol=1e-6)
    assert not torch.allclose(found, VesselPostprocessor().predict(network(), images)[0], atol=1e-4)


@torch.no_grad()
def test_the_scale_of_highest_confidence_is_taken_for_each_image():
    class Confident(torch.nn.Module):
        """Logits that are far from 0 in images of one height."""

        def forward(self, x):
            return x[:, :1] * (9.0 if x.shape[-2] == 32 else 0.5)

    inference = VesselPostprocessor(scales=[1.0, 0.5])
    high, low = torch.randn(2, 1, 64, 48), torch.randn(2, 1, 32, 48)
    for images, scale in ((high, 0.5), (low, 1.0)):
        p = inference.predict(Confident(), images)[0]
        assert p.shape == images.shape
        alone = VesselPostprocessor(scales=[scale]).predict(Confident(), images)[0]
        assert torch.equal(p, alone)


@torch.no_grad()
@pytest.mark.parametrize(("weight", "least"), [(1.0, 0.25), (0.5, 0.1)])
def test_images_of_another_camera_have_the_share_that_is_expected(weight, least):
    images = torch.randn(3, 1, 32, 32) + torch.tensor([-1.0, 0.0, 3.0])[:, None, None, None]
    fov = torch.zeros_like(images, dtype=torch.bool)
    fov[..., 4:24, 4:24] = True
    network = torch.nn.Identity()
    plain, _ = VesselPostprocessor(threshold=0.4).predict(network, images, fov)
    inference = VesselPostprocessor(
        threshold=0.4, expected_vessel_fraction=0.25, prior_weight=weight
    )
    other_camera = torch.tensor([True, True, False])
    shifted, _ = inference.predict(network, images, fov, other_camera)
    before, after = (
        [
            float((one[inside] >= 0.4 - 1e-5).float().mean())
            for one, inside in zip(p, fov, strict=True)
        ]
        for p in (plain, shifted)
    )
    expected = [0.25**weight * called ** (1 - weight) for called in before[:2]]
    assert after == pytest.approx([*expected, before[2]], abs=0.01)
    assert before[1] > after[1] >= least
    assert torch.equal(plain[2], shifted[2])
    for p, q in zip(plain, shifted, strict=True):
        assert torch.equal(p.flatten().argsort(), q.flatten().argsort()), "the order stays"
    assert torch.equal(inference.predict(network, images, fov)[0], plain), "no other camera"


@torch.no_grad()
@pytest.mark.parametrize(("fov", "logits"), [(0, 0.0), (1, -9.0)])
def test_images_without_vessels_or_field_of_view_keep_their_probabilities(fov, logits):
    images = torch.randn(1, 1, 32, 32) + logits
    inside = torch.full_like(images, fov, dtype=torch.bool)
    inference = VesselPostprocessor(expected_vessel_fraction=0.25)
    found, _ = inference.predict(torch.nn.Identity(), images, inside, torch.tensor([True]))
    assert torch.allclose(found, images.sigmoid(), atol=1e-6)


def test_photographs_of_more_pixels_are_of_another_camera():
    sizes = {"input_size": [[40, 30]] * 3, "native_size": [[40, 30], [80, 60], [20, 15]]}
    batch = {key: torch.tensor(value) for key, value in sizes.items()}
    assert scaled_down({**batch, "image": torch.zeros(1)}).tolist() == [False, True, False]


def test_a_share_needs_a_threshold():
    with pytest.raises(
        DataError, match=r"^model\.inference\.expected_vessel_fraction: needs a threshold"
    ):
        VesselPostprocessor(threshold=1.0, expected_vessel_fraction=0.1)


def test_maps_come_back_to_native_size_without_padding():
    padded = torch.zeros(1, 1, 64, 64)
    padded[..., :48, :40] = 1
    same, scaled = (
        native_maps(padded, torch.tensor([[48, 40]]), torch.tensor([native]))[0]
        for native in ([48, 40], [96, 80])
    )
    assert same.shape == (48, 40)
    assert scaled.shape == (96, 80)
    assert same.all()
    assert torch.allclose(scaled, torch.ones(()))


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

    mean, spread = VesselPostprocessor(tta=4, scales=scales).predict(Watched(), images)
    assert mean.shape == spread.shape == images.shape
    assert 0 <= float(spread.min()) <= float(spread.max()) <= 0.5
    assert torch.equal(
        mean, VesselPostprocessor(tta=4, scales=scales).predict(network(), images)[0]
    )
    if scales == [1.0]:
        axes = [(), (-1,), (-2,), (-2, -1)]
        views = torch.stack([s.sigmoid().flip(a) for s, a in zip(seen, axes, strict=True)])
        torch.testing.assert_close(spread, views.std(dim=0, correction=0))


@torch.no_grad()
def test_one_view_has_no_spread():
    assert VesselPostprocessor().predict(network(), torch.randn(1, 1, 16, 16))[1] is None


@torch.no_grad()
def test_views_that_agree_have_a_spread_of_nothing():
    class Flat(torch.nn.Module):
        def forward(self, x):
            return torch.full_like(x[:, :1], 0.3)

    spread = VesselPostprocessor(tta=8).predict(Flat(), torch.randn(1, 3, 16, 24))[1]
    assert float(spread.max()) < 1e-6
