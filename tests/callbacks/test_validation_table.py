"""What a module says of each image is what it says of all of them."""

from types import SimpleNamespace

import pytest
import torch

from callbacks.validation_table import ValidationTable
from lit_models.metrics.image_scores import BlotScores, blot_scores, by_image
from lit_models.metrics.vessel_scores import VesselScores


def test_the_table_is_in_the_order_of_the_data(tmp_path):
    trainer = SimpleNamespace(
        state=SimpleNamespace(fn="validate"),
        callbacks=[],
        default_root_dir=str(tmp_path),
        world_size=1,
        is_global_zero=True,
    )
    table = ValidationTable()
    table.on_validation_epoch_start(trainer, None)
    for index in (2, 0):
        batch = {"index": torch.tensor([index, index + 1]), "name": [f"{index}.png", "b.png"]}
        outputs = {"scores": {"dice": torch.tensor([index / 10, 1.0])}}
        table.on_validation_batch_end(trainer, None, outputs, batch, 0)
    table.on_validation_batch_end(trainer, None, None, batch, 0)  # a task that says nothing
    table.on_validation_end(trainer, None)
    written = (tmp_path / "validation_images.csv").read_text()
    assert written == "ID,dice\n0.png,0\nb.png,1\n2.png,0.2\nb.png,1\n"


def test_vessels():
    whole, own = VesselScores(0.5), []
    for seed in (0, 1, 2):
        generator = torch.Generator().manual_seed(seed)
        p = torch.rand(8, 8, generator=generator)
        truth = torch.rand(1, 8, 8, generator=generator) < 0.3
        fov = torch.rand(1, 8, 8, generator=generator) < 0.8
        own.append(whole.update(p, truth, fov))
    values, images = whole.compute(), by_image(own)
    assert {"fov/dice_image_mean", "full_image/auroc_image_mean"} <= images.keys()
    for name, value in images.items():
        assert value.shape == (3,)
        torch.testing.assert_close(value.mean(), values[name])


def test_blots():
    fake, real = torch.rand(2, 4, 1, 16, 16) * 2 - 1
    whole = BlotScores()
    whole.update(fake, real, torch.zeros(4, 1), torch.zeros(4, 1))
    values, own = whole.compute(), blot_scores(fake, real)
    for name in ("l1", "psnr", "ssim"):
        assert own[name].shape == (4,)
        assert own[name].mean().item() == pytest.approx(float(values[name]), rel=1e-5)
