"""Checkpoints that cannot be used are refused in a line, before anything is written."""

import pickle
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from common.errors import DataError
from experiment.checkpoints.network import check_weights_fit
from experiment.checkpoints.read import check_not_finished, read_checkpoint


def content(processed=3, **hyper_parameters):
    return {
        "pytorch-lightning_version": pl.__version__,
        "hyper_parameters": hyper_parameters,
        "state_dict": {"weight": torch.zeros(1000)},
        "epoch": processed - 1,
        "callbacks": {},
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": processed}}}},
    }


def lightning_checkpoint(folder, processed=3, **hyper_parameters):
    torch.save(content(processed, **hyper_parameters), folder / "a.ckpt")
    return read_checkpoint(folder / "a.ckpt")


class Code:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def image(path):
    Image.new("L", (8, 8)).save(path, format="png")


WRITERS = {
    "text": lambda path: path.write_text("no checkpoint"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "list": lambda path: torch.save([1, 2], path),
    "image": image,
    "weights": lambda path: torch.save({"weight": torch.zeros(3)}, path),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Code())),
    "code": lambda path: torch.save({**content(), "more": Code()}, path),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_no_checkpoint_is_one_line(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.ckpt"
    torch.save(content(), path)
    WRITERS[kind](path)
    with pytest.raises(DataError, match=rf"^{path}: ") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    assert ("run code" in str(caught.value)) == (kind == "code")


def test_a_run_goes_on_while_it_has_epochs_left(tmp_path):
    checkpoint = lightning_checkpoint(tmp_path)
    for epochs in (4, -1, None):
        check_not_finished(checkpoint, epochs)
    for epochs in (3, 2):
        line = rf"its 3 epochs; raise trainer.max_epochs \(now {epochs}"
        with pytest.raises(DataError, match=line):
            check_not_finished(checkpoint, epochs)
    del checkpoint.content["optimizer_states"]
    with pytest.raises(DataError, match=r"a\.ckpt: weights only; --model.init_from"):
        check_not_finished(checkpoint, 9)


def deflated(path):
    with ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def nested(levels):
    value = [0]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize("kind", ["deflated", "nested", "stride 0", "names"])
def test_what_takes_more_memory_than_disk_is_refused(tmp_path, kind):
    path = tmp_path / "a.ckpt"
    whole = content()
    match kind:
        case "nested":
            whole["hyper_parameters"]["class_names"] = nested(40)
        case "stride 0":
            whole["state_dict"]["weight"] = torch.zeros(1).expand(10**9)
        case "names":
            whole["hyper_parameters"]["class_names"] = [f"class {i}" for i in range(1_100_000)]
    torch.save(whole, path)
    if kind == "deflated":
        deflated(path)
    with pytest.raises(DataError, match=r"a\.ckpt: .*(damaged|not a checkpoint that can be read)"):
        read_checkpoint(path)


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save(content(), path)
    read_checkpoint(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="not a checkpoint that can be read"):
        read_checkpoint(path)


@pytest.mark.parametrize(("size", "name"), [(1000, "weight"), (7, "weight"), (1000, "other")])
def test_weights_of_another_network_are_named(tmp_path, size, name):
    model = torch.nn.Module()
    model.register_buffer(name, torch.zeros(size))
    checkpoint = lightning_checkpoint(tmp_path)
    if (size, name) == (1000, "weight"):
        check_weights_fit(checkpoint.weights, model.state_dict())
        return
    with pytest.raises(DataError, match=rf"^. of its weights are not .*: {name} is"):
        check_weights_fit(checkpoint.weights, model.state_dict())
