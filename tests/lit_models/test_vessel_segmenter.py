"""Vessel segmentation: the loss, where it counts, maps at the files' sizes."""

import pytest
import torch
from conftest import adam
from torch import nn

from lit_models import VesselSegmenter
from lit_models.losses import BCEDiceLoss, FocalTverskyLoss
from lit_models.networks import UNet


def segmenter(loss=None, **options):
    torch.manual_seed(0)
    loss = loss or FocalTverskyLoss()
    return VesselSegmenter(UNet(widths=(4, 8)), loss, adam, **options).eval()


def batch_of_one(native=(48, 40), fov=True):
    truth = torch.zeros(1, *native, dtype=torch.bool)
    truth[:, 10:12] = True
    inside = torch.ones(1, *native, dtype=torch.bool)
    inside[:, :5] = False
    pad = (0, 64 - native[1], 0, 64 - native[0])
    return {
        "image": torch.randn(1, 1, 64, 64),
        "target": nn.functional.pad(truth, pad)[None],
        "fov": nn.functional.pad(inside, pad)[None],
        "native_target": [truth],
        "native_fov": [inside if fov else None],
        "input_size": torch.tensor([native]),
        "native_size": torch.tensor([native]),
        "name": ["a.png"],
        "index": torch.tensor([0]),
    }


@torch.no_grad()
def test_maps_come_back_to_native_size_and_stay_in_the_fov():
    batch = batch_of_one() | {"native_size": torch.tensor([[96, 80]])}
    maps = segmenter(fov_only=True).predict_step(batch)["probability"]
    assert [m.shape for m in maps] == [(96, 80)]
    assert not maps[0][:9].any()
    assert maps[0][12:].all()
    assert segmenter().predict_step(batch)["probability"][0][:9].all()


@pytest.mark.parametrize("loss", [FocalTverskyLoss(), nn.BCEWithLogitsLoss(), BCEDiceLoss()])
def test_every_loss_learns_one_image(loss):
    model = segmenter(loss, fov_only=True).train()
    batch = batch_of_one()
    batch["image"] = batch["target"].float() + 0.1 * batch["image"]
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(25):
        losses.append(model.training_step(batch))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    empty = batch | {"target": torch.zeros_like(batch["target"])}
    model.training_step(empty).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_pixels_outside_the_field_of_view_do_not_count():
    model, batch = segmenter(nn.BCEWithLogitsLoss(), fov_only=True), batch_of_one()
    other = batch | {"target": batch["target"] ^ ~batch["fov"]}
    assert model.training_step(batch) == model.training_step(other)
    everywhere = segmenter(nn.BCEWithLogitsLoss())
    assert everywhere.training_step(batch) != everywhere.training_step(other)
    blind = batch | {"fov": torch.zeros_like(batch["fov"])}
    loss = model.training_step(blind)
    loss.backward()
    assert loss.isfinite(), "a crop without any field of view is not NaN"
