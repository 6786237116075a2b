import pytest
import torch

from common.errors import DataError
from datamodules.transforms import FundusAugmentation

STILL = {
    **dict.fromkeys(("contrast", "channel_contrast", "brightness", "channel_mixing", "noise"), 0.0),
    "other_camera_prob": 0.0,
}


def test_each_intensity_setting_changes_the_picture_alone():
    image, masks = torch.randn(3, 8, 8), torch.ones(2, 8, 8)
    seen = []
    for setting in (None, *STILL):
        values = STILL if setting is None else {**STILL, setting: 1.0}
        torch.manual_seed(0)
        pictures, kept = FundusAugmentation(None, 1.0, **values).batch([image], [masks], [64])
        assert torch.equal(kept[0], masks)
        seen.append(pictures[0])
    assert torch.equal(seen[0].flatten().sort().values, image.flatten().sort().values)
    assert all(not torch.allclose(seen[0], other) for other in seen[1:])


def test_a_batch_is_what_its_pictures_are_one_by_one():
    pictures = [(torch.randn(3, *s), torch.rand(2, *s) > 0.3, 700) for s in ((40, 51), (30, 44))]
    augmentation = FundusAugmentation(crop=16)
    torch.manual_seed(0)
    batch = augmentation.batch(*zip(*pictures, strict=True))
    torch.manual_seed(0)
    single = [augmentation.batch(*([part] for part in picture)) for picture in pictures]
    for together, alone in zip(batch, zip(*single, strict=True), strict=True):
        assert torch.equal(together, torch.cat(alone))


def test_an_empty_field_of_view_is_cropped_in_the_middle():
    crops, _ = FundusAugmentation(crop=4).batch([torch.rand(1, 9, 9)], [torch.zeros(2, 9, 9)], [0])
    assert crops.shape == (1, 1, 4, 4)


@pytest.mark.parametrize(("crop", "size"), [(8, (40, 51)), (7, (40, 40)), (None, (41, 50))])
def test_exact_pictures_hold_the_photographs_own_pixels(crop, size):
    torch.manual_seed(0)
    image, inside = torch.rand(1, *size), torch.ones(1, *size)
    for exact in (1.0, 0.0):
        augmentation = FundusAugmentation(crop, exact, **STILL)
        (seen,), (kept,) = augmentation.batch([image], [inside], [inside.numel()])
        off = (seen[kept > 0.999][:, None] - image.flatten()).abs().amin(dim=1)
        assert (off.max() < 1e-5) == bool(exact)
        assert seen.shape == ((1, crop, crop) if crop else image.shape)


def test_zoom_is_given_from_least_to_greatest():
    with pytest.raises(DataError, match=r"augmentation\.zoom: \[2, 1\]; give the smaller"):
        FundusAugmentation(zoom=(2, 1))


def test_another_camera_is_softer_sharper_or_noisier_at_the_same_contrast():
    image = torch.randn(3, 40, 40)

    def taken(*settings):
        names = ("other_camera_prob", "blur", "sharpening", "camera_noise")
        camera = FundusAugmentation(**dict(zip(names, settings, strict=True)))
        return camera._draw_camera(image.shape, image.device)(image)

    def detail(x):
        return float(x.diff(dim=-1).std() / x.std())

    details = []
    for seed in range(40):
        torch.manual_seed(seed)
        changed = taken(1.0, 1.6, 2.0, 0.0)
        assert torch.allclose(changed.std(dim=(1, 2)), image.std(dim=(1, 2)), rtol=0.01)
        details.append(detail(changed) / detail(image))
    assert min(details) < 0.6 < 0.99 < max(details)
    assert taken(0.0, 1.6, 2.0, 0.35) is image
    assert not torch.allclose(taken(1.0, 0.0, 0.0, 0.35), image, atol=0.01)
