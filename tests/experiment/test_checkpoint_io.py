"""Checkpoints are written whole, and without what only training needs."""

from pathlib import Path

import pytest
import torch

from common.errors import DataError
from experiment.checkpoint_io import AtomicCheckpointIO, write_portable
from experiment.checkpoints import read_checkpoint
from inference import export, load


@pytest.mark.parametrize("config", ["aoi", "vessels_best"])
def test_predicts_as_the_checkpoint_it_is_of(trained, tmp_path, config):
    source = trained(config) / "checkpoints" / "last.ckpt"
    folder = export.export(source, "checkpoint", tmp_path / "out")
    models = [load(path, device="cpu") for path in (source, folder / "model.ckpt")]
    images = models[0].examples(1)
    differences = export.compare(*(list(model.predict(images)) for model in models))
    assert set(differences.values()) == {0}


def test_nothing_of_the_machine_is_in_it(trained, tmp_path):
    source = trained("vessels_best") / "checkpoints" / "last.ckpt"
    checkpoint = read_checkpoint(source).content
    checkpoint["datamodule_hyper_parameters"]["data_dir"] = "/home/somebody/DRIVE"
    own = tmp_path / "own.ckpt"
    torch.save(checkpoint, own)
    write_portable(own, tmp_path / "portable.ckpt")
    kept = read_checkpoint(tmp_path / "portable.ckpt").content
    assert kept["datamodule_hyper_parameters"]["data_dir"] == "DRIVE"
    assert b"somebody" not in (tmp_path / "portable.ckpt").read_bytes()
    assert not kept.keys() & {"optimizer_states", "lr_schedulers", "loops", "current_model_state"}


def test_a_failed_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(1)}, path)

    def half(self, data):
        self.open("wb").write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(DataError, match=r"last\.ckpt: cannot be written \(No space left"):
        AtomicCheckpointIO().save_checkpoint({"a": torch.zeros(1)}, path)
    assert torch.load(path, weights_only=True)["a"] == 1
    assert list(tmp_path.iterdir()) == [path]
