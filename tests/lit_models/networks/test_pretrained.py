"""What lies in torch's cache is read as weights alone, and only if it is what its name says."""

import hashlib
from pathlib import Path

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

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


def test_the_hash_in_its_name_is_checked(cached, monkeypatch):
    torch.save(resnet18().state_dict(), cached)
    with pytest.raises(DataError, match="not the file that its name says"):
        read_state("resnet18", "IMAGENET1K_V1")
    digest = hashlib.sha256(cached.read_bytes()).hexdigest()[:8]
    right = cached.rename(cached.with_name(f"resnet18-{digest}.pth"))
    url = f"https://download.pytorch.org/models/{right.name}"
    monkeypatch.setattr(
        "torchvision.models.get_weight", lambda name: ResNet18_Weights.IMAGENET1K_V1
    )
    object.__setattr__(ResNet18_Weights.IMAGENET1K_V1.value, "url", url)
    assert "conv1.weight" in read_state("resnet18", "IMAGENET1K_V1")
