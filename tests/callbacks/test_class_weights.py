from pathlib import Path

import pytest
import torch
from conftest import config_args

from cli import main
from common.errors import DataError


@pytest.fixture
def uneven(aoi_folder):
    """Eight images of each class but the fourth, which has three."""
    table = (aoi_folder / "train.csv").read_text().splitlines()
    fewer = [row for row in table[1:] if not row.endswith(",3") or row < "train_00024"]
    (aoi_folder / "train.csv").write_text("\n".join([table[0], *fewer]))
    return aoi_folder


def best(folder, root, *more):
    args = [f"--data.data_dir={folder}", "--trainer.max_epochs=1"]
    return config_args("aoi_best", root, *args, *more)


def test_rare_classes_weigh_more_and_the_mean_weight_is_one(uneven, tmp_path):
    plain, *options = best(uneven, tmp_path)
    config = tmp_path / "power.yaml"
    text = Path(plain.partition("=")[2]).read_text()
    config.write_text(text.replace("power: 0.5", "power: 1.0"))
    cli = main(["fit", f"--config={config}", *options])
    labels, weights = cli.datamodule.train_set.targets, cli.model.loss.weight
    assert weights.argmax() == 3
    torch.testing.assert_close(weights[labels].mean(), torch.tensor(1.0))
    torch.testing.assert_close(weights * labels.bincount(), torch.full((6,), len(labels) / 6))
    # Not part of the checkpoint, whose loss is that of the config.
    main(["validate", *best(uneven, tmp_path, "--ckpt_path=last")])


def test_a_loss_without_class_weights_is_refused(uneven, tmp_path):
    with pytest.raises(DataError, match=r"ClassWeights: model\.loss is MultiMarginLoss"):
        main(["fit", *best(uneven, tmp_path, "--model.loss=torch.nn.MultiMarginLoss")])
