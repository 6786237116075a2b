import pytest
import torch
from jsonargparse import ArgumentParser

from datamodules.transforms import Augmentation, DefectAugmentation, RandomCropFlip


def test_flips_turn_all_channels_together():
    torch.manual_seed(0)
    image = torch.rand(1, 4, 4)
    outs = [RandomCropFlip()(image.expand(3, 4, 4)) for _ in range(30)]
    assert all(out[0].equal(out[1]) and out[0].equal(out[2]) for out in outs)
    mirrored = [image[0], image[0].flip(0), image[0].flip(1), image[0].flip(0, 1)]
    seen = [next(i for i, m in enumerate(mirrored) if m.equal(out[0])) for out in outs]
    assert set(seen) == {0, 1, 2, 3}


def test_crops_and_pads_what_is_smaller():
    image = torch.rand(3, 10, 6)
    assert RandomCropFlip(8)(image).shape == (3, 8, 8)
    assert torch.equal(RandomCropFlip(flip=False)(image), image)


@pytest.mark.parametrize(
    "value",
    [
        {"class_path": "subprocess.Popen", "init_args": {"args": ["true"]}},
        {"class_path": "torchvision.transforms.v2.Lambda", "init_args": {"lambd": "os.abort"}},
        {"class_path": "torch.nn.Identity"},
        "os.abort",
    ],
)
def test_a_config_can_name_nothing_but_augmentations(value):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--augmentation", type=Augmentation | None)
    named = {"class_path": "datamodules.transforms.RandomCropFlip", "init_args": {"crop": 8}}
    parsed = parser.instantiate_classes(parser.parse_object({"augmentation": named}))
    assert isinstance(parsed.augmentation, RandomCropFlip)
    with pytest.raises(Exception, match=r"subclass|import"):
        parser.parse_object({"augmentation": value})


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
