import pytest
import torch
from conftest import ROOT, aoi_args
from torchvision import tv_tensors

from cli import main
from datamodules.defect_augmentation import Augmentation


def band(size: int = 64) -> tv_tensors.Image:
    image = torch.full((1, size, size), 128, dtype=torch.uint8)
    image[:, 28:36] = 200
    return tv_tensors.Image(image)


def test_augmentation_keeps_size_direction_and_borders():
    transform = Augmentation().build(64)
    torch.manual_seed(0)
    outs = torch.stack([transform(band()) for _ in range(20)]).float()
    assert outs.shape == (20, 1, 64, 64)
    along, across = outs.std(dim=3).mean(), outs.std(dim=2).mean()
    assert along < across / 2, "a horizontal band stays horizontal"
    assert outs.min() > 60, "nothing black comes in over the border"
    assert not torch.equal(outs[0], outs[1])


def test_augmentation_can_be_turned_off():
    same = Augmentation(mirror=False, rotation=0, shift=0, zoom=0, light=0).build(64)(band())
    torch.testing.assert_close(same.float(), band().float(), atol=1, rtol=0)


@pytest.fixture
def best(aoi_folder, tmp_path):
    args = aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=2")
    args[0] = f"--config={ROOT / 'configs' / 'aoi_best.yaml'}"
    return args


def test_recipe_runs_one_cycle_and_averages_views(best, aoi_folder, caplog):
    cli = main(["fit", *best])
    assert "feature cache" not in caplog.text
    cycle = cli.trainer.lr_scheduler_configs[0].scheduler
    assert (cycle.total_steps, cycle.last_epoch) == (4, 4)
    assert cli.model.backbone.bn1.num_batches_tracked == 4
    torch.testing.assert_close(cli.model.class_weights, torch.ones(6))

    cli = main(["validate", *best[:-1], "--ckpt_path=last"])
    model = cli.model.eval()
    images = torch.rand(2, 3, 32, 32)
    mirrored = model.predict_step((images.flip(2), torch.zeros(2), torch.arange(2)))[1]
    probabilities = model.predict_step((images, torch.zeros(2), torch.arange(2)))[1]
    torch.testing.assert_close(probabilities, mirrored)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))
    assert not torch.allclose(model(images), model(images.flip(2)))


def test_rare_classes_weigh_more_and_the_mean_weight_is_one(best, aoi_folder):
    table = (aoi_folder / "train.csv").read_text().splitlines()
    fewer = [row for row in table[1:] if not row.endswith(",3") or row < "train_00024"]
    (aoi_folder / "train.csv").write_text("\n".join([table[0], *fewer]))
    cli = main(["fit", *best, "--model.class_balance=1"])
    labels = torch.tensor(cli.datamodule.train_set.labels)
    weights = cli.model.class_weights
    assert weights.argmax() == 3
    torch.testing.assert_close(weights[labels].mean(), torch.tensor(1.0))
    torch.testing.assert_close(weights * labels.bincount(), torch.full((6,), len(labels) / 6))
