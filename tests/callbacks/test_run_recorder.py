"""What a run leaves on disk, through the real command line."""

import json

import pytest
import yaml
from conftest import aoi_args, files, one_run
from PIL import Image
from pytorch_lightning.callbacks import Callback

from callbacks import run_recorder
from cli import main
from common.errors import DataError
from experiment.run_folder import lock_run_folder


def record(folder):
    return json.loads((folder / "run.json").read_text())


def test_training_is_recorded(finished, one_epoch):
    run, _ = finished
    found = record(run)
    assert (found["task"], found["config"], found["stage"]) == ("aoi", "aoi", "fit")
    assert (found["data"], found["sample"]) == (str(one_epoch[0]), False)
    assert found["status"] == "finished"
    assert found["best_checkpoint"].startswith("epoch=")
    assert found["weights"] == "random"
    assert yaml.safe_load((run / "config.yaml").read_text())["ckpt_path"] is None


def test_evaluations_touch_neither_metrics_nor_the_best_epoch(finished):
    run, args = finished
    trained = record(run)
    metrics = (run / "metrics.csv").read_bytes()
    checkpoints = files(run / "checkpoints")
    for stage, which in (("validate", "last"), ("test", "best"), ("test", "last")):
        cli = main([stage, *args(f"--ckpt_path={which}")])
        found = record(run)
        newest = found.pop("evaluations")[-1]
        assert found == trained
        logged = {name: float(value) for name, value in cli.trainer.callback_metrics.items()}
        assert newest["metrics"] == logged
        assert newest["metrics"]
        assert (newest["stage"], newest["status"]) == (stage, "finished")
    assert len(record(run)["evaluations"]) == 3
    assert (run / "metrics.csv").read_bytes() == metrics
    assert files(run / "checkpoints") == checkpoints


def test_predictions_have_folders_of_their_own(finished, tmp_path):
    run, args = finished
    args = args("--ckpt_path=best")
    before = files(run)
    new = tmp_path / "new images"
    new.mkdir()
    Image.new("L", (40, 40), 120).save(new / "a.png")
    for _ in range(2):
        main(["predict", *args, f"--data.predict_dir={new}"])
    main(["predict", *args])
    main(["predict", *args, f"--output={tmp_path / 'chosen'}"])
    after = files(run)
    assert {path: after[path] for path in before} == before
    assert one_run(tmp_path / "runs") == run
    found = sorted(path.name for path in (run / "predictions").iterdir())
    assert found == ["images", "new images", "new images-2"]
    for folder in (run / "predictions" / "new images", tmp_path / "chosen"):
        own = record(folder)
        assert (own["stage"], own["status"], own["sample"]) == ("predict", "finished", False)
        assert (folder / "predictions.csv").exists()
    assert record(run / "predictions" / "new images")["data"] == str(new)
    with pytest.raises(DataError, match="chosen: --output is not empty"):
        main(["predict", *args, f"--output={tmp_path / 'chosen'}"])


def test_predictions_of_the_built_in_sample_say_so(trained, predict):
    folder = predict(trained("retina"), "--trainer.limit_predict_batches=1")
    assert folder.name.startswith("sample")
    assert record(folder)["sample"] is True


def test_a_checkpoint_from_elsewhere_leaves_no_run_where_it_predicts(finished, one_epoch, tmp_path):
    run, _ = finished
    elsewhere = tmp_path / "downloads"
    elsewhere.mkdir()
    (run / "checkpoints" / "last.ckpt").rename(elsewhere / "model.ckpt")
    args = aoi_args(one_epoch[0], tmp_path / "other", f"--ckpt_path={elsewhere / 'model.ckpt'}")
    main(["predict", *args])
    assert not (tmp_path / "other").exists()
    assert (elsewhere / "predictions" / "images" / "predictions.csv").exists()
    main(["test", *args])
    assert record(one_run(tmp_path / "other"))["evaluations"][0]["stage"] == "test"


class Fail(Callback):
    """Ends the second epoch with an error."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise DataError("a reason\nand more")


def test_a_failed_run_says_why_and_goes_on(aoi_folder, tmp_path, capsys):
    args = aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=2")
    with pytest.raises(DataError, match="a reason"):
        main(["fit", *args, f"--trainer.callbacks+={__name__}.Fail"])
    folder = one_run(tmp_path)
    assert (record(folder)["status"], record(folder)["error"]) == ("failed", "a reason")
    assert "report" not in capsys.readouterr().out
    assert "Stopped by" in (folder / "report.html").read_text()
    main(["fit", *args, "--ckpt_path=last"])
    found = record(folder)
    assert (found["status"], found["error"]) == ("finished", None)
    assert (folder / "metrics.csv").read_text().count("\n") == 5


def test_two_trainings_of_one_run_are_refused(finished):
    run, args = finished
    before = files(run)
    with lock_run_folder(run), pytest.raises(DataError, match="another process is training here"):
        main(["fit", *args("--trainer.max_epochs=2", "--ckpt_path=last")])
    assert files(run) == {**before, run / ".lock": b""}


def test_wandb_keeps_its_id(finished, monkeypatch):
    run, args = finished
    started = []
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(run_recorder, "start_wandb", lambda *given: started.append(given))
    # A project of the name that one of the loggers once had.
    args = args("--run.project=aoi", "--ckpt_path=last")
    main(["fit", *args, "--trainer.max_epochs=2"])
    main(["fit", *args, "--trainer.max_epochs=3"])
    main(["test", *args])
    assert [given[1] for given in started] == [run] * 3
    assert [given[2] for given in started] == [record(run)["wandb_id"]] * 3
    settings, config = started[0][0], started[0][3]
    assert settings.project == "aoi"
    assert config["run_record"]["task"] == config["run"]["task"] == "aoi"
    assert config["data"]["class_path"] == "datamodules.AOIDataModule"


def test_fit_and_test_leave_a_report(aoi_folder, tmp_path, capsys):
    picture = 'src="data:image/png;base64,'
    args = aoi_args(aoi_folder, tmp_path / "runs", "--trainer.max_epochs=2", figures=True)
    main(["fit", *args])
    folder = one_run(tmp_path / "runs")
    out = capsys.readouterr().out
    assert f"report {folder / 'report.html'}" in out
    assert "val/accuracy" in out
    page = (folder / "report.html").read_text()
    drawn = {"curves", "confusion", "examples"}
    assert {path.stem for path in (folder / "figures").iterdir()} >= drawn
    assert page.count(picture) == len(list((folder / "figures").glob("*.png")))
    assert str(aoi_folder) in page
    assert 'data-scores="Test' not in page
    main(["test", *args, "--ckpt_path=best"])
    out = capsys.readouterr().out
    assert "of 12 test images classified correctly" in out
    assert "Test metric" not in out, "Lightning's own table"
    tested = (folder / "report.html").read_text()
    assert tested.count(picture) == len(list((folder / "figures").glob("*.png")))
    assert tested.count(picture) > page.count(picture)
    assert 'data-scores="Test of epoch=' in tested
