"""A run folder is read as it was written."""

import csv
import io

import pytest
from conftest import write_run

from common.errors import DataError
from experiment.run_results import read_results


def read(folder, table, monitor=("val/loss", "min")):
    rows = csv.DictReader(io.StringIO(table))
    return read_results(write_run(folder / "run", [*rows], monitor=monitor))


def test_steps_epochs_and_monitor(tmp_path):
    results = read(
        tmp_path,
        "epoch,lr-Adam,step,train/loss_epoch,train/loss_step,val/loss\n"
        "0,,9,,0.91,\n0,,18,,,0.5\n0,,18,0.7,,\n,0.001,37,,,\n1,,37,,,0.4\n",
    )
    assert results.by_epoch == {"val/loss": {1: 0.5, 2: 0.4}, "train/loss": {1: 0.7}}
    assert (results.monitor, results.mode, results.best_epoch) == ("val/loss", "min", 2)
    assert results.last_epoch == 2


def test_not_a_number_is_never_best_and_the_first_of_equals_is(tmp_path):
    results = read(tmp_path, "epoch,step,val/loss\n0,0,nan\n1,1,0.5\n2,2,0.5\n3,3,-inf\n")
    assert results.best_epoch == 2


def test_the_best_of_several_validations_in_an_epoch_keeps_its_own_values(tmp_path):
    results = read(
        tmp_path,
        "epoch,step,train/loss,val/accuracy,val/loss\n"
        "0,4,,0.8,0.5\n0,9,,0.9,0.3\n0,9,0.7,,\n1,14,,0.95,0.2\n1,19,,0.6,0.4\n1,19,0.6,,\n",
    )
    assert results.best_epoch == 2
    assert results.at_best == {"val/loss": 0.2, "val/accuracy": 0.95, "train/loss": 0.6}


def test_the_epoch_as_monitor_is_the_last_one(tmp_path):
    results = read(tmp_path, "epoch,step,val/loss\n0,0,0.1\n1,1,0.5\n", ("epoch", "max"))
    assert (results.best_epoch, results.at_best) == (2, {"val/loss": 0.5})


def test_an_empty_folder_is_empty(tmp_path):
    results = read_results(tmp_path)
    assert (results.record, results.by_epoch, results.evaluations) == ({}, {}, [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("run.json", text) for text in ("{", "[]")),
        *(("config.yaml", text) for text in ("a: [", "- 1")),
    ],
)
def test_files_of_something_else_are_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=name):
        read_results(tmp_path)
