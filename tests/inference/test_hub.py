"""Folders for the Hugging Face hub; the network itself is not tried."""

import json
import shutil

import pytest

pytest.importorskip("huggingface_hub")

from conftest import config_args

from cli import main
from common.errors import DataError
from inference import export, load

COMMIT = "0" * 40


@pytest.fixture
def folder(trained, tmp_path):
    return export.export(trained("aoi"), "hub", tmp_path / "hub")


@pytest.fixture
def cached(folder, tmp_path, monkeypatch):
    """An offline cache that has the folder as ``somebody/defects``."""
    cache = tmp_path / "cache" / "models--somebody--defects"
    shutil.copytree(folder, cache / "blobs")
    (cache / "snapshots" / COMMIT).mkdir(parents=True)
    for path in (cache / "blobs").iterdir():  # as the hub's client lays them
        blob = path.rename(path.with_name(str(hash(path.name))))
        (cache / "snapshots" / COMMIT / path.name).symlink_to(blob)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def test_folder_predicts_and_validates_as_the_checkpoint(folder, trained, tmp_path):
    model, copy = load(trained("aoi")), load(folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    for image in model.examples(2):
        assert copy.predict(image).probabilities == model.predict(image).probabilities
    assert copy.card() == model.card(), "the threshold of review.csv too"
    readme = (folder / "README.md").read_text()
    assert readme.startswith("---\nlibrary_name: ")
    assert "worth nothing on real images" in readme
    assert '"stage": "validation while training"' in readme
    main(["validate", *config_args("aoi", tmp_path), f"--ckpt_path={folder}"])


def test_address_is_read_from_the_cache_when_offline(cached, trained):
    assert load("hf://somebody/defects").card() == load(trained("aoi")).card()
    for address in ("hf://somebody/else", "hf://a/b/c/d", "hf://"):
        with pytest.raises(DataError, match=f"^{address}: cannot be had") as error:
            load(address)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["hyper_parameters"]["network"].update(class_path="os.system"), "os.system"),
        (lambda c: c["hyper_parameters"].update(class_names=["a"]), "its weights are not those"),
        (lambda c: c.pop("callbacks"), "damaged"),
        (lambda c: c.update(state_dict=3), "damaged"),
        (lambda c: c.pop("pytorch-lightning_version"), "not a checkpoint of Lightning"),
    ],
)
def test_settings_of_a_stranger_are_those_of_a_checkpoint(change, message, folder):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damaged_files_are_one_line(name, folder):
    (folder / name).write_bytes(b"{" * 10_000)
    with pytest.raises(DataError, match=r"model\.safetensors: not a checkpoint .*damaged") as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(DataError, match=r"needs huggingface_hub; pip install -e '.\[hub\]'$"):
        load("hf://somebody/defects")
