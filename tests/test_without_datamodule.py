"""Modules train from plain loaders without a data module; those of blots in their own tests."""

import pytest
import torch
from conftest import adam, quiet_trainer
from torch import nn
from torch.utils.data import DataLoader

from lit_models import DefectClassifier, ImageReconstructor, VesselSegmenter
from lit_models.losses import FocalTverskyLoss
from lit_models.networks import AutoEncoder, TorchvisionClassifier, UNet


def classifier(num_classes):
    return TorchvisionClassifier(num_classes, weights="random")


def fundus_item(index):
    masks = {"target": torch.zeros(1, 32, 32).bool(), "fov": torch.ones(1, 32, 32).bool()}
    sizes = {"input_size": torch.tensor([32, 32]), "native_size": torch.tensor([32, 32])}
    native = {"native_target": masks["target"], "native_fov": masks["fov"]}
    own = {"image": torch.randn(1, 32, 32), "index": index, "name": "a"}
    return {**own, **masks, **sizes, **native}


def photograph(index):
    return fundus_item(index) | {"image": torch.rand(3, 32, 32) * 2 - 1}


CASES = {
    "aoi": (
        lambda: DefectClassifier(classifier, nn.CrossEntropyLoss(), adam),
        lambda i: {"image": torch.randn(3, 32, 32), "target": i % 6, "index": i, "name": "a"},
    ),
    "vessels": (
        lambda: VesselSegmenter(UNet(widths=(4, 8)), FocalTverskyLoss(), adam),
        fundus_item,
    ),
    "retina": (
        lambda: ImageReconstructor(AutoEncoder(widths=(4, 8)), nn.MSELoss(), adam),
        photograph,
    ),
}


@pytest.mark.parametrize("task", CASES)
def test_trains_from_plain_loaders(task):
    make, item = CASES[task]
    loaders = [DataLoader([item(i) for i in range(4)], batch_size=2) for _ in range(2)]
    trainer = quiet_trainer()
    trainer.fit(make(), *loaders)
    logged = trainer.callback_metrics
    assert any(name.startswith("val/") for name in logged)
    assert all(torch.as_tensor(value).isfinite() for value in logged.values())
