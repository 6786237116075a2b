import pytest
import torch
from torchvision import tv_tensors

from common.errors import DataError
from datamodules.transforms import FundusAugmentation
from datamodules.transforms.fundus_augmentation import RandomCamera, RandomIntensity, RandomView


def test_intensity_changes_the_picture_alone():
    torch.manual_seed(0)
    image, mask = tv_tensors.Image(torch.randn(3, 8, 8)), tv_tensors.Mask(torch.ones(2, 8, 8))
    changed, same = RandomIntensity(0.35, 0.15, 0.2, 0.05, 0.1)(image, mask)
    assert torch.equal(same, mask)
    assert (changed - image).abs().mean() > 0.05


def test_each_intensity_setting_has_an_effect_of_its_own():
    image = tv_tensors.Image(torch.randn(3, 8, 8))
    for setting in range(5):
        values = [0.0] * 5
        torch.manual_seed(0)
        assert torch.equal(RandomIntensity(*values)(image), image)
        values[setting] = 0.5
        assert not torch.allclose(RandomIntensity(*values)(image), image)


def test_an_empty_field_of_view_is_cropped_in_the_middle():
    image, masks = tv_tensors.Image(torch.rand(1, 9, 9)), tv_tensors.Mask(torch.zeros(2, 9, 9))
    crop, _ = FundusAugmentation(crop=4)(image, masks)
    assert crop.shape == (1, 4, 4)


@pytest.mark.parametrize(("crop", "size"), [(8, (40, 51)), (7, (40, 40)), (None, (41, 50))])
def test_exact_pictures_hold_the_photographs_own_pixels(crop, size):
    torch.manual_seed(0)
    image, inside = tv_tensors.Image(torch.rand(1, *size)), tv_tensors.Mask(torch.ones(1, *size))
    for exact in (1.0, 0.0):
        seen, kept = RandomView(crop, exact, (0.75, 1.6), 0.1)(image, inside)
        off = (seen[kept > 0.999][:, None] - image.flatten()).abs().amin(dim=1)
        assert (off.max() < 1e-5) == bool(exact)
        assert seen.shape == ((1, crop, crop) if crop else image.shape)


def test_zoom_is_given_from_least_to_greatest():
    with pytest.raises(DataError, match=r"augmentation\.zoom: \[2, 1\]; give the smaller"):
        FundusAugmentation(zoom=(2, 1))


def test_another_camera_is_softer_sharper_or_noisier_at_the_same_contrast():
    image = tv_tensors.Image(torch.randn(3, 40, 40))

    def detail(x):
        return float(x.diff(dim=-1).std() / x.std())

    details = []
    for seed in range(40):
        torch.manual_seed(seed)
        changed = RandomCamera(1.0, 1.6, 2.0, 0.0)(image)
        assert torch.allclose(changed.std(dim=(1, 2)), image.std(dim=(1, 2)), rtol=0.01)
        details.append(detail(changed) / detail(image))
    assert min(details) < 0.6 < 0.99 < max(details)
    assert RandomCamera(0.0, 1.6, 2.0, 0.35)(image) is image
    assert not torch.allclose(RandomCamera(1.0, 0.0, 0.0, 0.35)(image), image, atol=0.01)
