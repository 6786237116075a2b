"""Tiny data sets in each layout, and data modules as a Trainer leaves them."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.trainer.states import RunningStage, TrainerFn

from benchmarks import tiny_data

STAGES = {
    "fit": (TrainerFn.FITTING, RunningStage.TRAINING),
    "validate": (TrainerFn.VALIDATING, RunningStage.VALIDATING),
    "test": (TrainerFn.TESTING, RunningStage.TESTING),
    "predict": (TrainerFn.PREDICTING, RunningStage.PREDICTING),
}


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


def _write(folder, name, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def fundus():
    """What the fundus folders are made of."""
    return SimpleNamespace(
        size=(44, 40),
        fov=tiny_data.fov(),
        photograph=tiny_data.photograph,
        vessels=tiny_data.vessels,
        write=_write,
    )


@pytest.fixture
def official(tmp_path, fundus):
    """The official layout of DRIVE: six training and three test photographs."""
    for n in range(1, 4):
        second = Image.fromarray(tiny_data.vessels(n) // 255, "P")
        second.putpalette([3, 3, 3, 253, 253, 253])
        (tmp_path / "test" / "2nd_manual").mkdir(parents=True, exist_ok=True)
        second.save(tmp_path / "test" / "2nd_manual" / f"{n:02d}_manual2.gif")
    return tiny_data.write_drive(tmp_path, 6)


@pytest.fixture
def flat(tmp_path):
    """The flat layout, without masks of the field of view."""
    for split, count in (("train", 5), ("test", 2)):
        for n in range(count):
            _write(tmp_path / split / "images", f"eye-{n}.png", tiny_data.photograph(n))
            _write(tmp_path / split / "masks", f"eye-{n}.png", tiny_data.vessels(n))
    return tmp_path


@pytest.fixture
def blots(tmp_path):
    """The course layout: ten triples of noise from five membranes."""
    return tiny_data.write_blots(tmp_path / "data", 10, membranes=5)
