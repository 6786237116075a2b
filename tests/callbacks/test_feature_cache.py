"""Features that were computed once give the training that the images give."""

import pytest
import torch
from conftest import aoi_args, one_run, read_table

from cli import main

SHORT = ["--trainer.max_epochs=2", "--trainer.precision=32-true", "--data.batch_size=8"]


def test_trains_as_on_the_images(aoi_folder, tmp_path, caplog):
    clis = {}
    for cached in ("true", "false"):
        args = aoi_args(aoi_folder, tmp_path / cached, *SHORT, f"--data.cache_features={cached}")
        clis[cached] = main(["fit", *args])
    assert "feature cache: on" in caplog.text
    assert "feature cache: off, by config" in caplog.text
    with_cache, without = (
        read_table(one_run(tmp_path / cached) / "metrics.csv") for cached in ("true", "false")
    )
    for ours, theirs in zip(with_cache, without, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert float(value or 0) == pytest.approx(float(theirs[name] or 0), abs=1e-4), name
    data = clis["true"].datamodule
    network = clis["true"].model.network
    assert data.features["train"].shape == (len(data.train_set), network.head.in_features)
    assert torch.is_floating_point(data.features["val"])


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--model.network.frozen=false", "the backbone is trained"),
        ("--data.augmentation=DefectAugmentation", "training images are augmented"),
    ],
)
def test_is_off_where_features_would_not_be_the_same(aoi_folder, tmp_path, caplog, option, reason):
    limits = ["--trainer.limit_train_batches=1", "--trainer.max_epochs=1"]
    cache = ["--trainer.callbacks=callbacks.FeatureCache"]
    args = aoi_args(aoi_folder, tmp_path, *limits, *cache, option)
    assert main(["fit", *args]).datamodule.features == {}
    assert f"feature cache: off, {reason}" in caplog.text


def test_is_off_where_memory_would_not_do(aoi_folder, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("callbacks.feature_cache.LIMIT_GIB", 0)
    args = aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=1")
    assert main(["fit", *args]).datamodule.features == {}
    assert "feature cache: off, it would take more than 0 GiB" in caplog.text
