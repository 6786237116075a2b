"""Each way of naming checkpoints leads to the same files."""

import json
from pathlib import Path

import pytest
import torch

from common.errors import DataError
from experiment.checkpoints.find import find_checkpoints


def make_run(folder, best=None, also=()):
    """A run with ``last.ckpt``, which names ``best``, and empty files beside it."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    state = {"ModelCheckpoint": {"best_model_path": f"/gone/{best}"}} if best else {}
    content = {"pytorch-lightning_version": "2.6", "state_dict": {}, "callbacks": state}
    torch.save(content, checkpoints / "last.ckpt")
    for name in also:
        (checkpoints / name).write_bytes(b"")
    return checkpoints


@pytest.mark.parametrize("several", [str, list])
def test_files_alone_and_several(tmp_path, several):
    paths = [tmp_path / "a=1.ckpt", tmp_path / "b.ckpt"]
    for path in paths:
        path.write_bytes(b"")
    assert find_checkpoints(paths[0]) == paths[:1]
    source = f"[{paths[0]}, {paths[1]}]" if several is str else paths
    assert find_checkpoints(source) == paths


def test_a_run_folder_is_its_best_checkpoint_or_its_last(tmp_path):
    checkpoints = make_run(tmp_path / "a", "epoch=2.ckpt", ["epoch=2.ckpt", "epoch=9.ckpt"])
    assert find_checkpoints(tmp_path / "a") == [checkpoints / "epoch=2.ckpt"]
    for text in (f"[{tmp_path / 'a'}]", f" ['{tmp_path / 'a'}' ]", f'["{tmp_path / "a"}"]'):
        assert find_checkpoints(text) == [checkpoints / "epoch=2.ckpt"]
    assert find_checkpoints(tmp_path / "a", "last") == [checkpoints / "last.ckpt"]
    assert find_checkpoints(checkpoints) == [checkpoints / "epoch=2.ckpt"]


def test_best_and_last_are_of_the_newest_run(tmp_path):
    runs = [tmp_path / name for name in ("a", "b", "empty")]
    make_run(runs[1], "x.ckpt", ["x.ckpt"])
    newest = make_run(runs[0], "y.ckpt", ["y.ckpt"])
    assert find_checkpoints("best", runs=runs) == [newest / "y.ckpt"]
    assert find_checkpoints("last", "best", runs) == [newest / "last.ckpt"]
    with pytest.raises(DataError, match="no run with a checkpoint; train first"):
        find_checkpoints("best", runs=runs[2:])


def test_best_where_the_named_one_was_replaced_before_a_kill(tmp_path):
    checkpoints = make_run(tmp_path, "epoch=2.ckpt", ["epoch=3.ckpt", ".half-epoch-x.ckpt"])
    assert find_checkpoints(tmp_path) == [checkpoints / "epoch=3.ckpt"]


def test_best_of_a_run_that_continues_another_without_a_better_epoch(tmp_path):
    checkpoints = make_run(tmp_path, "epoch=2.ckpt")
    assert find_checkpoints(tmp_path) == [checkpoints / "last.ckpt"]


def test_the_folder_of_a_cross_validation(tmp_path):
    record = {"status": "finished", "members": [{"checkpoint": "fold-0/a.ckpt"}]}
    (tmp_path / "crossval.json").write_text(json.dumps(record))
    assert find_checkpoints(tmp_path) == [tmp_path / "fold-0" / "a.ckpt"]
    for changed in ({"status": "running"}, {"members": [3, {"fold": 0}]}):
        (tmp_path / "crossval.json").write_text(json.dumps({**record, **changed}))
        with pytest.raises(DataError, match="not all folds are trained; run crossval again"):
            find_checkpoints(tmp_path)
    (tmp_path / "crossval.json").write_text("[]")
    with pytest.raises(DataError, match=r"crossval\.json: not a record"):
        find_checkpoints(tmp_path)


@pytest.mark.parametrize("name", ["gone", "gone.ckpt", "."])
def test_nothing_there(tmp_path, name):
    with pytest.raises(DataError, match="no such run or checkpoint"):
        find_checkpoints(tmp_path / Path(name))
