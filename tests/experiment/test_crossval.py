"""What is trained, and in which order, with a training that only leaves its files."""

import json
from pathlib import Path

import pytest
import torch
from conftest import aoi_args, crossvalidate

from common.errors import DataError, UsageError
from experiment.run_folder import lock_run_folder


class Stopped(Exception):
    pass


class Pretend:
    """Stands in for ``cli.main``: a run of two epochs that scores what it is told."""

    def __init__(self, stop_at=None):
        self.calls, self.stop_at = [], stop_at

    def __call__(self, args):
        if len(self.calls) == self.stop_at:
            raise Stopped
        given = dict(a[2:].partition("=")[::2] for a in args[1:])
        self.calls.append((args[0], given))
        if args[0] == "fit":
            self.fit(given)
        else:
            self.validate(Path(given["config"]).parent)

    def fit(self, given):
        run = Path(given["run.root"]) / given["run.config"] / given["run.name"]
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        epoch = {"current": {"processed": 2}}
        checkpoint = {"pytorch-lightning_version": "2", "state_dict": {}}
        checkpoint["loops"] = {"fit_loop": {"epoch_progress": epoch}}
        for name in ("epoch=2.ckpt", "last.ckpt"):
            torch.save(checkpoint, run / "checkpoints" / name)
        (run / "config.yaml").write_text(
            "trainer: {max_epochs: 2, callbacks: [{class_path: callbacks.BestCheckpoint, "
            "init_args: {monitor: val/loss}}]}\n"
        )
        (run / "metrics.csv").write_text("epoch,step,val/loss\n0,1,0.5\n1,2,0.25\n")
        fold = int(given["data.fold"])
        record = {"task": "aoi", "stage": "fit", "status": "finished", "fold": fold}
        (run / "run.json").write_text(json.dumps(record))

    def validate(self, run):
        record = json.loads((run / "run.json").read_text())
        loss = 0.5 + record["fold"]
        record["evaluations"] = [{"stage": "validate", "metrics": {"val/loss": loss}}]
        (run / "run.json").write_text(json.dumps(record))
        (run / "validation_images.csv").write_text(f"ID,loss\n{record['fold']}.png,{loss}\n")


@pytest.fixture
def args(tmp_path):
    return [*aoi_args(None, tmp_path), "--folds=3"]


def runs(pretend, verb="fit"):
    return [
        one.get("run.name") or one["config"].split("/")[-2] for v, one in pretend.calls if v == verb
    ]


def test_each_fold_is_trained_and_scored(args, tmp_path):
    pretend = Pretend()
    folder = crossvalidate(args, pretend)
    assert folder == tmp_path / "aoi" / "crossval_3"
    names = [f"fold-{fold}_seed-42" for fold in range(3)]
    assert runs(pretend) == runs(pretend, "validate") == names
    for fold, (_, given) in enumerate(pretend.calls[::2]):
        assert given["data.folds"] == "3"
        assert given["data.fold"] == str(fold)
        assert given["trainer.devices"] == "1", "a second process would run all of it again"
    record = json.loads((folder / "crossval.json").read_text())
    assert record["metrics"]["val/loss"] == {"mean": 1.5, "std": 1.0, "min": 0.5, "max": 2.5}
    assert record["out_of_fold"]["loss"]["images"] == 3
    assert record["best_epoch"] == 2
    assert record["members"][0]["checkpoint"] == "fold-0_seed-42/checkpoints/epoch=2.ckpt"


@pytest.mark.parametrize("stop_at", range(6))
def test_it_goes_on_wherever_it_was_stopped(args, stop_at):
    first, second = Pretend(stop_at), Pretend()
    with pytest.raises(Stopped):
        crossvalidate(args, first)
    folder = crossvalidate(args, second)
    assert len(first.calls) + len(second.calls) == 6, "nothing is done twice"
    assert json.loads((folder / "crossval.json").read_text())["status"] == "finished"
    assert "loss" in (folder / "crossval.md").read_text()


def test_a_run_without_a_checkpoint_is_begun_again_and_one_with_goes_on(args, tmp_path):
    run = tmp_path / "aoi" / "crossval_3" / "fold-0_seed-42"
    (run / "figures").mkdir(parents=True)
    pretend = Pretend(1)
    with pytest.raises(Stopped):
        crossvalidate(args, pretend)
    assert not (run / "figures").exists()
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace("finished", "interrupted"))
    (run / "kept").touch()
    pretend = Pretend()
    crossvalidate(args, pretend)
    assert pretend.calls[0][1]["ckpt_path"] == "auto"
    assert (run / "kept").exists()


def test_another_seed_adds_runs(args):
    crossvalidate(args, Pretend())
    pretend = Pretend()
    folder = crossvalidate([*args, "--seeds=2"], pretend)
    assert runs(pretend) == [f"fold-{fold}_seed-43" for fold in range(3)]
    assert {given["seed_everything"] for verb, given in pretend.calls if verb == "fit"} == {"43"}
    record = json.loads((folder / "crossval.json").read_text())
    assert [one["seed"] for one in record["members"]] == [42] * 3 + [43] * 3
    assert record["out_of_fold"]["loss"]["images"] == 3, "an image counts once"


def test_finished_it_trains_nothing_and_other_options_are_refused(args):
    folder = crossvalidate(args, Pretend())
    pretend = Pretend()
    assert crossvalidate(args, pretend) == folder
    assert not pretend.calls
    with pytest.raises(DataError, match="started with other options; choose another"):
        crossvalidate([*args, "--model.optimizer.lr=0.1"], pretend)
    other = crossvalidate([*args, "--model.optimizer.lr=0.1", "--run.name=fast"], pretend)
    assert other == folder.with_name("crossval_fast")


def test_two_at_once_are_refused(args, tmp_path):
    folder = tmp_path / "aoi" / "crossval_3"
    folder.mkdir(parents=True)
    with lock_run_folder(folder), pytest.raises(DataError, match="is training here"):
        crossvalidate(args, Pretend())


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--data.fold=1", "data.fold: is set for each fold"),
        ("--ckpt_path=last", "ckpt_path: is set for each fold"),
        ("--folds=1", "folds: must be a whole number >= 2"),
        ("--trainer.devices=2", "trainer.devices: is set for each fold"),
        ("--config=gone.yaml", "gone.yaml: cannot be read"),
        ("--folds=x", "invalid int value"),
    ],
)
def test_bad_options(args, tmp_path, option, line):
    with pytest.raises(UsageError, match=line):
        crossvalidate([*args, option], Pretend())
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_a_bad_option_leaves_nothing_that_would_refuse_the_good_one(args, tmp_path):
    def refuse(given):
        raise UsageError("trainer.max_epoch: unknown")

    with pytest.raises(UsageError):
        crossvalidate([*args, "--trainer.max_epoch=1"], refuse)
    assert not (tmp_path / "aoi" / "crossval_3").exists()
