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
    assert caplog.text.count("feature cache: every epoch") == 1
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
    ("option", "limit"),
    [
        ("--model.network.frozen=false", 2),
        ("--data.augmentation=DefectAugmentation", 2),
        ("--data.cache_features=true", 0),
    ],
)
def test_is_off_where_features_or_memory_would_not_do(
    aoi_folder, tmp_path, monkeypatch, option, limit
):
    monkeypatch.setattr("callbacks.feature_cache.LIMIT_GIB", limit)
    limits = ["--trainer.limit_train_batches=1", "--trainer.max_epochs=1"]
    cache = ["--trainer.callbacks=callbacks.FeatureCache"]
    args = aoi_args(aoi_folder, tmp_path, *limits, *cache, option)
    assert main(["fit", *args]).datamodule.features == {}
