"""Training on all images: what wants validation copes, or says so in a line."""

import json

import pytest
import torch
from conftest import config_args, one_run, write_aoi

from cli import main
from common.errors import DataError
from experiment.checkpoints.find import best_checkpoint

COSINE = "--model.lr_scheduler=lit_models.optim.CosineAnnealing"


@pytest.mark.parametrize("config", ["aoi", "vessels", "retina", "blots"])
def test_trains_on_all_images(config, tmp_path, recwarn, caplog):
    more = []
    if config == "aoi":
        images = write_aoi(tmp_path / "images", images_per_class=2)
        more = [f"--data.data_dir={images}"]
    more += [COSINE] if config == "vessels" else []
    more += ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    main(["fit", *config_args(config, tmp_path, *more, "--data.fold=all", figures=True)])
    run = one_run(tmp_path)
    assert "NO VALIDATION" in caplog.text
    (kept,) = (run / "checkpoints").glob("*.ckpt")
    assert best_checkpoint(kept) == kept == run / "checkpoints" / "last.ckpt"
    assert torch.load(kept, weights_only=True)["datamodule_hyper_parameters"]["fold"] == "all"
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["best_checkpoint"]) == ("finished", None)
    assert (run / "figures" / "curves.png").is_file()
    assert (run / "report.html").is_file()
    assert not [str(one.message) for one in recwarn if "not drawn" in str(one.message)]


def test_what_needs_validation_is_refused(tmp_path):
    args = config_args("vessels", tmp_path, "--trainer.max_epochs=1", "--data.fold=all")
    with pytest.raises(DataError, match="ReduceLROnPlateau waits for val/loss"):
        main(["fit", *args])
    assert not list(tmp_path.glob("*/*")), "nothing half-written"
    main(["fit", *args, COSINE, "--trainer.limit_train_batches=1"])
    with pytest.raises(DataError, match="all images are trained on"):
        main(["validate", *args, "--ckpt_path=best"])
