"""Valid uses of the command line, each as its user meant it."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT, aoi_args, config_args, one_run
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info

import cli
from benchmarks.tiny_data import write_drive
from commandline import verbs
from commandline.warning_filters import filter_warnings
from common.errors import DataError, UsageError
from experiment.checkpoints import find_checkpoints

SHORT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]


@pytest.mark.parametrize("name", ["#new", "~", "2024", ""])
def test_null_alone_is_null(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path / "~"))
    with pytest.raises(DataError, match=r"no such folder|is empty"):
        cli.main(["fit", *aoi_args(None, tmp_path), "--data.data_dir", name])
    assert not [*tmp_path.iterdir()], "neither the sample nor a run"


def test_the_users_loggers_log_beside_ours(aoi_folder, tmp_path):
    logger = "--trainer.logger=pytorch_lightning.loggers.CSVLogger"
    args = aoi_args(aoi_folder, tmp_path / "runs", *SHORT, logger)
    cli.main(["fit", *args, f"--trainer.logger.save_dir={tmp_path / 'mine'}"])
    theirs = (tmp_path / "mine/lightning_logs/version_0/metrics.csv").read_text()
    assert "val/accuracy" in theirs
    assert "val/accuracy" in (one_run(tmp_path / "runs") / "metrics.csv").read_text()


@pytest.mark.parametrize(
    "options",
    [
        ("EMAWeightAveraging", "decay=0.9"),
        ("StochasticWeightAveraging", "swa_lrs=0.001", "swa_epoch_start=0.5"),
        ("Timer", "duration=00:01:00:00"),
        ("TQDMProgressBar",),
    ],
    ids=lambda options: options[0],
)
def test_lightnings_own_callbacks(aoi_folder, tmp_path, options):
    name, *values = options
    more = [f"--trainer.callbacks+={name}", *(f"--trainer.callbacks.{v}" for v in values)]
    more.append("--trainer.enable_progress_bar=true")
    cli.main(["fit", *aoi_args(aoi_folder, tmp_path, *SHORT, *more)])
    checkpoints = one_run(tmp_path) / "checkpoints"
    cli.main(["validate", *aoi_args(aoi_folder, tmp_path, f"--ckpt_path={checkpoints}")])


def test_a_callback_that_cannot_work_is_one_line(aoi_folder, tmp_path):
    args = aoi_args(aoi_folder, tmp_path, *SHORT, "--trainer.callbacks+=LearningRateFinder")
    with pytest.raises(UsageError, match=r"LearningRateFinder does not work here .*'lr'"):
        cli.main(["fit", *args])


def test_fast_dev_run_writes_into_its_own_folder(aoi_folder, tmp_path, monkeypatch):
    here = tmp_path / "here"
    (here / "checkpoints").mkdir(parents=True)
    (here / "checkpoints" / "last.ckpt").write_text("a user's")
    monkeypatch.chdir(here)
    cli.main(["fit", *aoi_args(aoi_folder, tmp_path / "runs", "--trainer.fast_dev_run=true")])
    assert (here / "checkpoints" / "last.ckpt").read_text() == "a user's"
    assert [path.name for path in here.iterdir()] == ["checkpoints"]


def test_a_run_continued_under_another_name_can_be_used(aoi_folder, tmp_path, capsys):
    args = aoi_args(aoi_folder, tmp_path, "--trainer.limit_train_batches=1")
    cli.main(["fit", *args, "--run.name=first", "--trainer.max_epochs=1"])
    first = tmp_path / "aoi" / "first" / "checkpoints"
    more = ["--model.optimizer.lr=0", "--trainer.max_epochs=2", "--run.name=second"]
    cli.main(["fit", *args, *more, f"--ckpt_path={first / 'last.ckpt'}"])
    second = tmp_path / "aoi" / "second"
    assert find_checkpoints(second)[0].parent == second / "checkpoints"
    capsys.readouterr()
    cli.main(["test", *args, f"--ckpt_path={first / 'last.ckpt'}"])
    assert "checkpoint" not in capsys.readouterr().out.splitlines()[-1]


def test_metrics_that_are_no_numbers_are_null_in_run_json(aoi_folder, tmp_path, monkeypatch):
    args = aoi_args(aoi_folder, tmp_path, *SHORT)
    cli.main(["fit", *args])
    log = lambda self: self.log("test/nothing", float("nan"))  # noqa: E731
    monkeypatch.setattr("lit_models.DefectClassifier.on_test_epoch_end", log, raising=False)
    cli.main(["test", *args, "--ckpt_path=last"])
    text = (one_run(tmp_path) / "run.json").read_text()
    record = json.loads(text, parse_constant=pytest.fail)
    assert record["evaluations"][0]["metrics"]["test/nothing"] is None


@pytest.mark.skipif(sys.platform == "win32", reason="has no passwd")
@pytest.mark.parametrize("name", ["~/gone", "~nobody1/gone"])
def test_a_user_without_a_home(monkeypatch, capsys, tmp_path, name):
    """As in a container with --user, whose number no passwd knows."""
    import pwd

    def unknown(name):
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(sys, "argv", ["cli.py", "compare", name])
    monkeypatch.setattr("signal.signal", lambda *args: None)
    with pytest.raises(SystemExit):
        verbs.run()
    assert "gone: no run folder" in capsys.readouterr().err
    args = ["fit", *aoi_args(None, tmp_path), f"--data.data_dir={name}"]
    with pytest.raises(DataError, match="gone: no such folder"):
        cli.main(args)


def test_one_help_for_all_verbs_and_configs_by_name(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        verbs.main(["--help"])
    told = capsys.readouterr().out
    assert all(f"    {verb} " in told for verb in verbs.VERBS)
    with pytest.raises(SystemExit):
        verbs.main(["fit", "--config", "vessels", "--help"])
    assert "FILE_OR_NAME" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"invalid choice: .fitt. .*fit"):
        verbs.main(["fitt"])


def test_a_plateau_waits_for_validations(tmp_path):
    write_drive(tmp_path / "drive")
    plateau = ["--model.lr_scheduler.patience=0", "--model.lr_scheduler.threshold=9"]
    args = config_args("vessels", tmp_path, f"--data.data_dir={tmp_path / 'drive'}", *plateau)
    args += ["--trainer.limit_train_batches=1", "--trainer.check_val_every_n_epoch=2"]
    trained = cli.main(["fit", *args, "--trainer.max_epochs=4"])
    rate = trained.trainer.optimizers[0].param_groups[0]["lr"]
    assert rate == 0.00025, "it steps with each of the two validations"
    with pytest.raises(DataError, match=r"nothing is validated .*limit_val_batches 0"):
        cli.main(["fit", *args, "--trainer.max_epochs=1", "--trainer.limit_val_batches=0"])


def test_a_page_over_runs_needs_no_lightning():
    code = "import sys, experiment.compare; print('pytorch_lightning' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "False\n"


def test_of_infos_lightnings_own_are_left_out(caplog):
    filter_warnings()
    rank_zero_info("the data as they are understood")
    Trainer(accelerator="cpu", logger=False)  # tells of the GPU that is not used
    assert caplog.messages == ["the data as they are understood"]
