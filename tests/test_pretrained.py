"""The weights in pretrained/ are those that their cards describe."""

import json

import pytest
from conftest import ROOT

from inference.model_card import sha256

FILES = sorted((ROOT / "pretrained").glob("*.ckpt"))


def test_each_has_a_card():
    assert {file.stem for file in FILES} == {"vessels_best"}
    readme = (ROOT / "pretrained" / "README.md").read_text(encoding="utf-8")
    for file in FILES:
        assert f"## {file.stem}" in readme
        assert file.stat().st_size < 10e6


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_card_is_of_this_file(file):
    card = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["files"][file.name] == sha256(file)
    assert card["sample"] is False
    assert card["trained_on"] == "DRIVE"
    assert card["metrics"]
