"""What a run leaves on disk, through the real command line."""

import json
import shutil

import pytest
import yaml
from conftest import aoi_args, config_args, one_run, write_aoi
from PIL import Image
from pytorch_lightning.callbacks import Callback

from callbacks import run_recorder
from cli import main
from common.errors import DataError
from experiment.run_folder import lock_run_folder


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def record(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Images, and a run of two epochs on them that nothing but `run` touches."""
    folder = tmp_path_factory.mktemp("trained")
    images = write_aoi(folder / "images")
    short = ["--trainer.max_epochs=2", "--run.wandb=disabled"]
    main(["fit", *aoi_args(images, folder / "runs", *short)])
    return images, one_run(folder / "runs")


@pytest.fixture
def aoi_folder(trained):
    return trained[0]


@pytest.fixture
def run(trained, tmp_path):
    folder = tmp_path / "runs" / "aoi" / trained[1].name
    shutil.copytree(trained[1], folder)
    return folder


def test_training_is_recorded(run, aoi_folder):
    found = record(run)
    assert (found["task"], found["config"], found["stage"]) == ("aoi", "aoi", "fit")
    assert (found["data"], found["sample"]) == (str(aoi_folder), False)
    assert found["status"] == "finished"
    assert found["best_checkpoint"].startswith("epoch=")
    assert found["weights"] == "random"
    assert found["wandb_id"] is None
    assert yaml.safe_load((run / "config.yaml").read_text())["ckpt_path"] is None


def test_evaluations_touch_neither_metrics_nor_the_best_epoch(run, aoi_folder):
    args = aoi_args(aoi_folder, run.parent.parent)
    trained = record(run)
    metrics = (run / "metrics.csv").read_bytes()
    checkpoints = files(run / "checkpoints")
    for stage, which in (("validate", "last"), ("test", "best"), ("test", "last")):
        cli = main([stage, *args, f"--ckpt_path={which}"])
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


def test_predictions_have_folders_of_their_own(run, aoi_folder, tmp_path):
    args = aoi_args(aoi_folder, tmp_path / "runs", "--ckpt_path=best")
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


def test_prediction_from_the_built_in_sample_says_so_and_others_do_not(tmp_path):
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    short += ["--trainer.limit_val_batches=1", "--trainer.limit_predict_batches=1"]
    args = config_args("retina", tmp_path, *short)
    main(["fit", *args])
    folder = one_run(tmp_path)
    images = tmp_path / "mine"
    images.mkdir()
    Image.linear_gradient("L").resize((70, 64)).convert("RGB").save(images / "a.png")
    for more in ([], [f"--data.predict_dir={images}"]):
        main(["predict", *args, "--ckpt_path=last", *more])
    assert record(folder / "predictions" / "sample")["sample"] is True
    own = record(folder / "predictions" / "mine")
    assert (own["sample"], own["data"]) == (False, str(images))
    assert record(folder)["sample"] is True


def test_a_checkpoint_from_elsewhere_leaves_no_run_where_it_predicts(run, aoi_folder, tmp_path):
    elsewhere = tmp_path / "downloads"
    elsewhere.mkdir()
    (run / "checkpoints" / "last.ckpt").rename(elsewhere / "model.ckpt")
    args = aoi_args(aoi_folder, tmp_path / "other", f"--ckpt_path={elsewhere / 'model.ckpt'}")
    main(["predict", *args])
    assert not (tmp_path / "other").exists()
    assert (elsewhere / "predictions" / "images" / "predictions.csv").exists()
    main(["test", *args])
    assert record(one_run(tmp_path / "other"))["evaluations"][0]["stage"] == "test"


def test_an_unreadable_image_is_listed(run, aoi_folder, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    Image.new("L", (40, 40), 120).save(new / "a.png")
    (new / "b.png").write_bytes(b"no image")
    args = aoi_args(aoi_folder, tmp_path / "runs", "--ckpt_path=best")
    with pytest.raises(DataError, match=r"skipped\.csv: 1 "):
        main(["predict", *args, f"--data.predict_dir={new}"])
    folder = run / "predictions" / "new"
    lines = (folder / "skipped.csv").read_text().splitlines()
    assert lines[0] == "ID,reason"
    assert lines[1].startswith("b.png,")
    assert (folder / "predictions.csv").read_text().splitlines()[1].startswith("a.png,")
    assert (record(folder)["status"], record(folder)["skipped"]) == ("finished", 1)


def test_bad_input_leaves_nothing(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"train\.csv"):
        main(["fit", *aoi_args(tmp_path / "images", tmp_path / "runs")])
    assert list(tmp_path.glob("runs/*")) == []


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


@pytest.mark.parametrize("damage", ["half a line", "no record", "no table"])
def test_half_a_line_is_dropped_on_resuming_and_other_damage_named(run, aoi_folder, damage):
    args = aoi_args(aoi_folder, run.parent.parent, "--trainer.max_epochs=3", "--ckpt_path=last")
    metrics = run / "metrics.csv"
    whole = metrics.read_text()
    if damage == "half a line":
        metrics.write_text(whole + "2,0.")
    else:
        name, line = {
            "no record": ("run.json", "not readable"),
            "no table": ("metrics.csv", "not a text file"),
        }[damage]
        (run / name).write_bytes(b"{\xff\xfe")
        with pytest.raises(DataError, match=f"{name}: {line}"):
            main(["fit", *args])
        return
    main(["fit", *args])
    assert metrics.read_text().startswith(whole)
    assert record(run)["status"] == "finished"


def test_two_trainings_of_one_run_are_refused(run, aoi_folder):
    before = files(run)
    args = aoi_args(aoi_folder, run.parent.parent, "--trainer.max_epochs=3", "--ckpt_path=last")
    with lock_run_folder(run), pytest.raises(DataError, match="another process is training here"):
        main(["fit", *args])
    assert files(run) == {**before, run / ".lock": b""}


def test_wandb_keeps_its_id(run, aoi_folder, monkeypatch):
    started = []
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(run_recorder, "start_wandb", lambda *given: started.append(given))
    # A project of the name that one of the loggers once had.
    args = aoi_args(aoi_folder, run.parent.parent, "--run.project=aoi", "--ckpt_path=last")
    main(["fit", *args, "--trainer.max_epochs=3"])
    main(["fit", *args, "--trainer.max_epochs=4"])
    main(["test", *args])
    assert [given[1] for given in started] == [run] * 3
    assert [given[2] for given in started] == [record(run)["wandb_id"]] * 3
    settings, config = started[0][0], started[0][3]
    assert settings.project == "aoi"
    assert config["run_record"]["task"] == config["run"]["task"] == "aoi"
    assert config["data"]["class_path"] == "datamodules.AOIDataModule"
