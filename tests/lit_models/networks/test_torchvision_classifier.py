import hashlib

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

from common.errors import DataError
from lit_models.networks import TorchvisionClassifier
from lit_models.networks.torchvision_classifier import read_weights


def test_frozen_is_all_but_the_head_and_stays_in_eval_mode():
    frozen = TorchvisionClassifier(6, weights="random").train()
    trained = {id(p) for p in frozen.parameters() if p.requires_grad}
    assert trained == {id(p) for p in frozen.head.parameters()}
    assert not frozen.backbone.training
    frozen.features(torch.randn(4, 3, 32, 32))
    assert frozen.backbone.bn1.num_batches_tracked == 0
    whole = TorchvisionClassifier(6, weights="random", frozen=False).train()
    assert all(p.requires_grad for p in whole.parameters())
    assert whole.backbone.training


def load(path):
    TorchvisionClassifier(6, weights=str(path)).load_pretrained()


def test_weights_file_is_read_and_its_faults_are_named(tmp_path):
    source = resnet18()
    path = tmp_path / "net.pth"
    torch.save(source.state_dict(), path)
    network = TorchvisionClassifier(6, weights=str(path))
    network.load_pretrained()
    assert torch.equal(network.backbone.conv1.weight, source.conv1.weight)

    bad = source.state_dict()
    del bad["conv1.weight"]
    torch.save(bad, path)
    with pytest.raises(DataError, match=r"net\.pth: not a resnet18 .*conv1\.weight"):
        load(path)
    torch.save(source.state_dict() | {"bn1.weight": torch.zeros(7)}, path)
    with pytest.raises(DataError, match=r"net\.pth: .*size mismatch for bn1\.weight"):
        load(path)
    torch.save([1, 2], path)
    with pytest.raises(DataError, match=r"net\.pth: not a state dict"):
        load(path)
    path.write_text("not weights")
    with pytest.raises(DataError, match=r"net\.pth: not a state dict"):
        load(path)
    with pytest.raises(DataError, match=r"nowhere\.pth: no such weights file"):
        load("nowhere.pth")


@pytest.mark.parametrize("name", ["resnet19", "squeezenet1_0", "googlenet"])
def test_what_has_no_linear_head_is_refused(name):
    with pytest.raises(DataError, match=r"model\.network\.name: "):
        TorchvisionClassifier(6, name, "random")


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("the pickle ran",))


def test_the_cache_is_read_as_weights_alone_and_if_its_hash_is_right(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = ResNet18_Weights.IMAGENET1K_V1.value

    def cache(content):
        path = tmp_path / "hub" / "checkpoints" / "net.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        path = path.rename(path.with_name(f"net-{digest}.pth"))
        monkeypatch.setitem(source.__dict__, "url", f"https://download.pytorch.org/{path.name}")
        return path

    cache({"a": Evil()})
    with pytest.raises(DataError, match="not a state dict"):
        read_weights("resnet18", "IMAGENET1K_V1")
    path = cache({"a": torch.ones(1)})
    assert set(read_weights("resnet18", "IMAGENET1K_V1")) == {"a"}
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="not the file that its name says"):
        read_weights("resnet18", "IMAGENET1K_V1")
