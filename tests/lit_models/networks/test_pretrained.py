"""What lies in torch's cache is read as weights alone."""

from pathlib import Path

import pytest
import torch
from torchvision.models import ResNet18_Weights

from common.errors import DataError
from lit_models.networks.pretrained import read_state


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("the pickle ran",))


@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.IMAGENET1K_V1.url).name
    path.parent.mkdir(parents=True)
    return path


def test_a_pickle_is_not_run(cached):
    torch.save({"conv1.weight": Evil()}, cached)
    with pytest.raises(DataError, match=r"resnet18-.*: not a file of weights alone; remove it"):
        read_state("resnet18", "IMAGENET1K_V1")
