import json
from pathlib import Path

import pytest
import torch

from common.errors import DataError
from experiment.arguments import UsageError
from experiment.ensemble import check_members, member_paths, share_validation, temperatures


def test_what_a_user_may_give(tmp_path):
    assert member_paths("a=1.ckpt") == [Path("a=1.ckpt")]
    assert member_paths("[a.ckpt, b/epoch=1.ckpt]") == [Path("a.ckpt"), Path("b/epoch=1.ckpt")]
    assert member_paths(["a.ckpt", Path("b.ckpt")]) == [Path("a.ckpt"), Path("b.ckpt")]
    for wrong in ("[a.ckpt", "[1, 2]", "[]"):
        with pytest.raises(UsageError, match="ckpt_path: "):
            member_paths(wrong)


def test_a_run_folder_is_its_best_checkpoint_and_to_go_on_its_last(tmp_path):
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    checkpoint = {"pytorch-lightning_version": "2.6", "state_dict": {}, "hyper_parameters": {}}
    for name in ("epoch=3.ckpt", "last.ckpt"):
        torch.save(checkpoint, checkpoints / name)
    best = checkpoints / "epoch=3.ckpt"
    assert member_paths(str(tmp_path)) == [best]
    assert member_paths(f"[{tmp_path}]") == [best]
    assert member_paths(tmp_path, "last") == [checkpoints / "last.ckpt"]


def test_the_folder_of_a_cross_validation(tmp_path):
    record = {"status": "finished", "members": [{"checkpoint": "fold-0/a.ckpt"}]}
    (tmp_path / "crossval.json").write_text(json.dumps(record))
    assert member_paths(tmp_path) == [tmp_path / "fold-0" / "a.ckpt"]
    (tmp_path / "crossval.json").write_text(json.dumps({**record, "status": "running"}))
    with pytest.raises(DataError, match="1 trained so far; run crossval again to go on"):
        member_paths(tmp_path)
    (tmp_path / "crossval.json").write_text("[]")
    with pytest.raises(DataError, match="not readable"):
        member_paths(tmp_path)


def checkpoint(network=None, data=None, temperature=None):
    network = {"class_path": "p.UNet", "init_args": {"widths": [4], "weights": "x"}} | (
        network or {}
    )
    model = {"_class_path": "lit_models.VesselSegmenter", "network": network}
    model["inference"] = {"temperature": temperature}
    data = {"image_size": 32, "fold": 0, "folds": 5, "seed": 0, **(data or {})}
    return {"hyper_parameters": model, "datamodule_hyper_parameters": data}


PATHS = [Path("a.ckpt"), Path("b.ckpt")]


def test_members_may_differ_in_what_they_were_trained_on():
    other = checkpoint(data={"fold": 1, "seed": 3, "data_dir": "x", "augmentation": {"a": 1}})
    other["hyper_parameters"]["network"]["init_args"]["weights"] = "random"
    check_members(PATHS, [checkpoint(), other])
    assert not share_validation([checkpoint(), other])
    assert share_validation([checkpoint(), checkpoint()])


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (checkpoint(data={"image_size": 64}), "data.image_size is 64, but 32 in a.ckpt"),
        (checkpoint({"class_path": "p.Other"}), "model.network is Other, but UNet"),
        (checkpoint({"init_args": {"widths": [8]}}), r"model.network.widths is \[8\], but \[4\]"),
    ],
)
def test_other_networks_and_other_preprocessing_are_refused(other, line):
    with pytest.raises(DataError, match=f"b.ckpt: {line}"):
        check_members(PATHS, [checkpoint(), other])


def test_each_member_has_its_own_temperature_unless_one_is_asked_for():
    members = [checkpoint(temperature=2.0), checkpoint()]
    assert temperatures(members, None) == [2.0, 1.0]
    assert temperatures(members, 3.0) == [3.0, 3.0]
