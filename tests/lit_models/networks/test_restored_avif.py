"""AVIF files, and a network that restores what they lost."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import DataError
from lit_models.networks import RestoredAVIF


def network(quality, **settings):
    made = RestoredAVIF((4, 8), **settings).eval()
    made.quality = quality
    return made


@pytest.fixture
def images():
    torch.manual_seed(0)
    coarse = torch.rand(2, 3, 6, 5) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (46, 38), mode="bicubic").clamp(-1, 1)


def test_untrained_copies_are_what_the_files_hold(images):
    copies, files = network(30).reconstruct(images)
    for copy, file in zip(copies, files, strict=True):
        with Image.open(io.BytesIO(file)) as opened:
            assert opened.format == "AVIF"
            held = torch.from_numpy(np.array(opened)).permute(2, 0, 1) / 127.5 - 1
        torch.testing.assert_close(copy, held)
    assert (copies - images).square().mean() < 0.01


def test_a_better_file_is_larger_and_closer(images):
    found = []
    for quality in (10, 50, 90):
        copies, files = network(quality).reconstruct(images)
        found.append((sum(map(len, files)), -float((copies - images).square().mean())))
    assert found == sorted(found)
    assert len(set(found)) == 3


def test_training_draws_qualities_from_the_range(images):
    training = network(0, train_qualities=(60, 90)).train()
    torch.manual_seed(0)
    sizes = {len(training.reconstruct(images[:1])[1][0]) for _ in range(8)}
    least, greatest = (len(network(q).reconstruct(images[:1])[1][0]) for q in (60, 90))
    assert len(sizes) > 1
    assert least <= min(sizes)
    assert max(sizes) <= greatest


def test_qualities_are_given_from_least_to_greatest():
    with pytest.raises(DataError, match=r"train_qualities: \[50, 20\]; give the smaller"):
        RestoredAVIF(train_qualities=(50, 20))
