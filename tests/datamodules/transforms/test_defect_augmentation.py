import pytest
import torch

from datamodules.transforms import DefectAugmentation


def band(size: int = 64) -> torch.Tensor:
    image = torch.full((1, size, size), 128, dtype=torch.uint8)
    image[:, 28:36] = 200
    return image


def test_it_keeps_size_direction_and_borders():
    augmentation = DefectAugmentation()
    torch.manual_seed(0)
    outs = torch.stack([augmentation(band()) for _ in range(20)]).float()
    assert outs.shape == (20, 1, 64, 64)
    along, across = outs.std(dim=3).mean(), outs.std(dim=2).mean()
    assert along < across / 2, "a horizontal band stays horizontal"
    assert outs.min() > 60, "nothing black comes in over the border"
    assert not torch.equal(outs[0], outs[1])


def test_it_can_be_turned_off():
    off = DefectAugmentation(flip=False, rotation=0, translate=0, zoom=0, color_jitter=0)
    torch.testing.assert_close(off(band()).float(), band().float(), atol=1, rtol=0)


@pytest.mark.parametrize("side", [1, 2, 3, 5, 33])
def test_every_side_is_kept(side):
    image = torch.zeros(1, side, side, dtype=torch.uint8)
    assert DefectAugmentation(rotation=180)(image).shape == image.shape
