"""Tiny data sets in each layout, and data modules as a Trainer leaves them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.trainer.states import RunningStage, TrainerFn

STAGES = {
    "fit": (TrainerFn.FITTING, RunningStage.TRAINING),
    "validate": (TrainerFn.VALIDATING, RunningStage.VALIDATING),
    "test": (TrainerFn.TESTING, RunningStage.TESTING),
    "predict": (TrainerFn.PREDICTING, RunningStage.PREDICTING),
}
FUNDUS = (44, 40)  # height, width


def _ready(data, stage="fit"):
    data.trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    data.trainer.state.fn, data.trainer.state.stage = STAGES[stage]
    data.prepare_data()
    data.setup(stage)
    return data


@pytest.fixture
def ready():
    """``ready(datamodule, stage)``: set up in one process, as in that stage of a Trainer."""
    return _ready


def _disc():
    y, x = np.mgrid[: FUNDUS[0], : FUNDUS[1]]
    return (y - 22) ** 2 + (x - 20) ** 2 < 18**2


def _write(folder, name, pixels, mode=None):
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if mode == "P":
        image = Image.fromarray(pixels, "P")
        image.putpalette([3, 3, 3, 253, 253, 253])
    image.save(folder / name)


def _photograph(seed):
    pixels = np.random.default_rng(seed).integers(90, 160, (*FUNDUS, 3), dtype=np.uint8)
    return pixels * _disc()[..., None].astype(np.uint8)


def _vessels(seed):
    """A mask whose position tells the image it belongs to."""
    mask = np.zeros(FUNDUS, np.uint8)
    mask[10 + seed % 20, 8:30] = 255
    return mask


@pytest.fixture
def fundus():
    """What the fundus folders are made of."""
    return SimpleNamespace(
        size=FUNDUS,
        fov=_disc().astype(np.uint8) * 255,
        photograph=_photograph,
        vessels=_vessels,
        write=_write,
    )


@pytest.fixture
def official(tmp_path, fundus):
    """The official layout of DRIVE: six training and three test photographs."""
    for split, first, count in (("training", 21, 6), ("test", 1, 3)):
        for n in range(first, first + count):
            folder = tmp_path / split
            _write(folder / "images", f"{n:02d}_{split}.tif", _photograph(n))
            _write(folder / "1st_manual", f"{n:02d}_manual1.gif", _vessels(n))
            _write(folder / "mask", f"{n:02d}_{split}_mask.gif", fundus.fov)
            if split == "test":
                _write(folder / "2nd_manual", f"{n:02d}_manual2.gif", _vessels(n) // 255, "P")
    return tmp_path


@pytest.fixture
def flat(tmp_path):
    """The flat layout, without masks of the field of view."""
    for split, count in (("train", 5), ("test", 2)):
        for n in range(count):
            _write(tmp_path / split / "images", f"eye-{n}.png", _photograph(n))
            _write(tmp_path / split / "masks", f"eye-{n}.png", _vessels(n))
    return tmp_path


def _blots(root: Path, triples: int = 10, side: int = 16, membranes: int = 5) -> Path:
    rng = np.random.default_rng(0)
    names = ("wb_dataset/", "wb_template/BandMask_", "wb_template2/BasePattern_")
    for number in range(triples):
        for name in names:
            pixels = rng.integers(0, 256, (side, side), dtype=np.uint8)
            folder, prefix = name.split("/")
            _write(root / folder, f"{prefix}bg_{number:04d}.png", pixels)
    rows = [f"bg_{number:04d},m{number % membranes}" for number in range(triples)]
    (root / "groups.csv").write_text("\n".join(["ID,membrane", *rows]) + "\n")
    return root


@pytest.fixture
def write_blots():
    """``write_blots(root, triples, side, membranes)``: triples of noise in the course layout."""
    return _blots


@pytest.fixture
def blots(tmp_path):
    return _blots(tmp_path / "data")
