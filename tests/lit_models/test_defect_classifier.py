"""The classifier end to end: what is frozen, what is written, what happens without internet."""

import json

import pytest
from conftest import ROOT, aoi_args, one_run

from cli import main
from common.errors import DataError


@pytest.fixture
def no_internet(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no internet")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)


PRETRAINED = "--model.network.weights=IMAGENET1K_V1"


def test_unreachable_imagenet_weights_are_an_error_on_real_data(aoi_folder, tmp_path, no_internet):
    with pytest.raises(DataError, match=r"resnet18-.*\.pth: not there and cannot be downloaded"):
        main(["fit", *aoi_args(aoi_folder, tmp_path, PRETRAINED, "--model.network.name=resnet18")])
    assert not list(tmp_path.glob("aoi/*"))


@pytest.mark.parametrize("more", [[], ["--ckpt_path=auto"]])  # auto: as crossval trains a fold
def test_on_the_sample_all_is_trained_from_random_weights_then(tmp_path, no_internet, caplog, more):
    limits = ["--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1"]
    limits += ["--trainer.max_epochs=1", "--data.num_workers=0", "--data.image_size=32"]
    args = ["--config", f"{ROOT}/configs/aoi.yaml", f"--run.root={tmp_path}", *limits]
    trained = main(["fit", *args, *more])
    assert (trained.trainer.current_epoch, trained.datamodule.hparams["image_size"]) == (1, 32)
    folder = one_run(tmp_path)
    record = json.loads((folder / "run.json").read_text())
    assert record["weights"] == "random"
    assert record["sample"] is True
    config = (folder / "config.yaml").read_text()
    assert "weights: random" in config
    assert "frozen: false" in config
    assert "name: small_cnn" in config
    assert "SAMPLE DATA" in caplog.text
    assert "RANDOM WEIGHTS" in caplog.text
    assert "from_scratch/aoi.yaml" in caplog.text
    main(["validate", *args, "--ckpt_path=last"])
