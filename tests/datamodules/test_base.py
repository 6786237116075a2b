"""What all data modules have in common."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningCLI

import datamodules
from benchmarks import tiny_data
from common.errors import DataError
from datamodules import AOIDataModule, BlotDataModule, DRIVESegmentationDataModule
from datamodules.base import ImageDataModule
from datamodules.fundus_input import FundusInput
from datamodules.transforms import FundusAugmentation
from experiment.checkpoints.settings import NOT_FROM_CHECKPOINT

MODULES = [getattr(datamodules, name) for name in datamodules.__all__]


def built(module, *args):
    """The data module that a command line with ``args`` makes."""
    path = f"{module.__module__}.{module.__name__}"
    cli = LightningCLI(
        pl.LightningModule,
        pl.LightningDataModule,
        subclass_mode_data=True,
        save_config_callback=None,
        seed_everything_default=0,
        run=False,
        args=[f"--data={path}", "--trainer.logger=false", *args],
        parser_kwargs={"exit_on_error": False},
    )
    return cli.datamodule


def parsed(module, *args):
    """The same without a Trainer."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=pl.LightningDataModule)
    path = f"{module.__module__}.{module.__name__}"
    return parser.instantiate(parser.parse_args([f"--data={path}", *args])).data


@pytest.mark.parametrize("module", MODULES)
def test_settings_are_plain_values_that_a_checkpoint_loads_as_weights_alone(module, tmp_path):
    data = built(module)
    torch.save(dict(data.hparams), tmp_path / "saved.pt")
    saved = torch.load(tmp_path / "saved.pt", weights_only=True)
    assert saved["_instantiator"] == "pytorch_lightning.cli.instantiate_module"
    names = set(saved) - {"_class_path", "_instantiator"}
    kinds = [kind for kind in module.__mro__ if issubclass(kind, ImageDataModule)]
    expected = {name for kind in kinds for name in kind.__init__.__annotations__}
    assert names == expected - {"return", "args", "kwargs"}
    assert {name for name in names if name in NOT_FROM_CHECKPOINT} >= {
        "data_dir",
        "batch_size",
    }


def test_objects_given_in_python_do_not_spoil_a_checkpoint(tmp_path):
    data = DRIVESegmentationDataModule(
        inputs=FundusInput("rgb"), augmentation=FundusAugmentation(), val_size=3
    )
    assert data.hparams["inputs"] == FundusInput("rgb").__dict__
    assert "augmentation" not in data.hparams
    torch.save(dict(data.hparams), tmp_path / "saved.pt")
    assert torch.load(tmp_path / "saved.pt", weights_only=True)["val_size"] == 3


AOI, VESSELS, BLOTS = AOIDataModule, DRIVESegmentationDataModule, BlotDataModule
RETINA = datamodules.DRIVEReconstructionDataModule
REFUSED = [
    (AOI, ["image_size=0", "image_size=1.5", "image_size=100000", "num_workers=-1"]),
    (AOI, ["val_fraction=0", "val_fraction=1", "val_fraction=.nan", "seed=-1"]),
    (VESSELS, ["crops_per_image=0", "inputs.size=0", "inputs.channels=hsv"]),
    (VESSELS, ["inputs={size: null, diameter: .inf}", "inputs={size: null, diameter: -1}"]),
    (RETINA, ["size=-1", "val_size=0", "crops_per_image=-1"]),
    (BLOTS, ["folds=1", "fold=-1", "eval_batch_size=0", "seed=-1"]),
    (AOI, [f"augmentation.{o}" for o in ("zoom=-0.1", "translate=.nan", "flip=3")]),
    (VESSELS, [f"augmentation.{o}" for o in ("zoom=[2, 1]", "zoom=[1]", "noise=null", "crop=0")]),
]


@pytest.mark.parametrize(
    ("module", "option"), [(module, option) for module, options in REFUSED for option in options]
)
def test_values_out_of_range_are_refused(module, option):
    kind = "DefectAugmentation" if module is AOI else "FundusAugmentation"
    given = option.startswith("augmentation")
    augmentation = [f"--data.augmentation=datamodules.transforms.{kind}"] if given else []
    with pytest.raises(Exception, match=option.split("=")[0].split(".")[-1]):
        parsed(module, *augmentation, f"--data.{option}")


def test_home_is_expanded_everywhere(aoi_folder, official, ready, monkeypatch):
    home = aoi_folder.parent
    monkeypatch.setenv("HOME", str(home))
    tiny_data.write_blots(home / "blots")
    ready(AOIDataModule("~/images", image_size=8))
    data = ready(AOIDataModule(predict_dir="~/images/test_images", image_size=8), "predict")
    assert data.data_source == str(home / "images" / "test_images")
    ready(DRIVESegmentationDataModule(f"~/{official.relative_to(home)}", val_size=2), "fit")
    ready(BlotDataModule("~/blots", test_dir="~/blots", size=16), "test")
    ready(BlotDataModule(predict_dir="~/blots", size=16), "predict")


@pytest.mark.parametrize("option", ["data_dir", "predict_dir", "test_dir"])
def test_a_missing_folder_is_named_with_its_option(tmp_path, ready, option):
    stage = {"data_dir": "fit", "predict_dir": "predict", "test_dir": "test"}[option]
    with pytest.raises(DataError, match=rf"gone: no such folder \({option}\)"):
        ready(BlotDataModule(**{option: str(tmp_path / "gone")}), stage)


def test_the_seed_is_of_the_split_and_not_of_the_sample(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "datamodules.base.cached_sample", lambda draw, seed: drawn.append(seed) or Path("sample")
    )
    for module in MODULES:
        _ = module(seed=5).folder
    assert drawn == [0] * len(MODULES)
