"""AVIF files, and a network that restores what they lost."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.errors import DataError
from lit_models.networks import RestoredAVIF


@pytest.fixture
def images():
    torch.manual_seed(0)
    coarse = torch.rand(2, 3, 6, 5) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (46, 38), mode="bicubic").clamp(-1, 1)


def test_untrained_copies_are_what_the_files_hold(images):
    network = RestoredAVIF(widths=(4, 8), quality=30).eval()
    copies, files = network.reconstruct(images)
    for copy, file in zip(copies, files, strict=True):
        with Image.open(io.BytesIO(file)) as opened:
            assert opened.format == "AVIF"
            held = torch.from_numpy(np.array(opened)).permute(2, 0, 1) / 127.5 - 1
        torch.testing.assert_close(copy, held)
    assert (copies - images).square().mean() < 0.01


def test_a_better_file_is_larger_and_closer(images):
    found = []
    for quality in (10, 50, 90):
        copies, files = RestoredAVIF(widths=(4,), quality=quality).eval().reconstruct(images)
        found.append((sum(map(len, files)), -float((copies - images).square().mean())))
    assert found == sorted(found)
    assert len(set(found)) == 3


def test_training_draws_qualities_from_the_range(images):
    network = RestoredAVIF(widths=(4,), quality=0, train_qualities=(60, 90))
    torch.manual_seed(0)
    sizes = {len(network.reconstruct(images[:1])[1][0]) for _ in range(8)}
    least, greatest = (
        len(RestoredAVIF((4,), quality).eval().reconstruct(images[:1])[1][0])
        for quality in (60, 90)
    )
    assert len(sizes) > 1
    assert least <= min(sizes)
    assert max(sizes) <= greatest


@pytest.mark.parametrize("qualities", [(50, 20), (-1, 50), (10, 101)])
def test_bad_qualities_are_refused(qualities):
    with pytest.raises(DataError, match=r"train_qualities.*0 to 100"):
        RestoredAVIF(train_qualities=qualities)
    with pytest.raises(DataError, match="quality: 101; give 0 to 100"):
        RestoredAVIF(quality=101)
