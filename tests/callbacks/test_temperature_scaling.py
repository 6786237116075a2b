"""The checkpoint says how sure to be, and everything that reads it listens."""

import csv
import math
import random

import pytest
import torch
from conftest import aoi_args, config_args, one_run, write_aoi

from callbacks.after_training import fit_temperature
from cli import main
from experiment.checkpoints import read_checkpoint
from inference import load
from lit_models.postprocessing.defects import DefectPostprocessor, review_threshold

FIT = ["--trainer.max_epochs=2", "--data.batch_size=8", "--data.val_fraction=0.5"]


@pytest.fixture(scope="module")
def confusing(tmp_path_factory):
    """Images whose classes cannot be told apart, so that some are classified wrong."""
    folder = write_aoi(tmp_path_factory.mktemp("aoi") / "images", images_per_class=12)
    path = folder / "train.csv"
    rows = path.read_text().splitlines()
    names, labels = zip(*(row.split(",") for row in rows[1:]), strict=True)
    mixed = random.Random(0).sample(labels, len(labels))
    path.write_text("\n".join([rows[0], *map(",".join, zip(names, mixed, strict=True))]) + "\n")
    return folder


@pytest.fixture(scope="module")
def runs():
    return {}


@pytest.fixture
def fitted(confusing, tmp_path_factory, runs):
    """The run folder of a config that was trained on `confusing`."""

    def run(config):
        if config not in runs:
            root = tmp_path_factory.mktemp(config)
            more = ["--model.inference.tta=true"] if config == "aoi_best" else []
            more.append("--trainer.precision=32-true")  # batches differ, and bf16 rounds them
            more += [f"--data.data_dir={confusing}", *FIT]
            main(["fit", *config_args(config, root, *more)])
            runs[config] = one_run(root)
        return runs[config]

    return run


def read(path):
    return torch.load(path, weights_only=True)


def held_out_confidence(path):
    kept = read_checkpoint(path).callbacks["TemperatureScaling"]
    return kept["confidence"], kept["correct"]


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_classes_is_found(temperature):
    torch.manual_seed(0)
    logits = 2 * torch.randn(1, 20000, 6) + 0.3 * torch.randn(4, 20000, 6)
    probability = DefectPostprocessor().from_logits(logits).exp()
    target = torch.multinomial(probability, 1)[:, 0]
    assert fit_temperature(logits * temperature, target) == pytest.approx(temperature, rel=0.05)
    assert fit_temperature(torch.eye(3)[None], torch.arange(3)) == 1, "all are right"


@pytest.mark.parametrize("config", ["aoi", "aoi_best"])
def test_the_temperature_is_that_of_the_validation_images(config, fitted, caplog):
    run = fitted(config)
    checkpoints = sorted((run / "checkpoints").glob("*.ckpt"))
    assert len(checkpoints) == 2
    for path in checkpoints:
        checkpoint = read(path)
        temperature = checkpoint["hyper_parameters"]["inference"]["temperature"]
        kept = checkpoint["callbacks"]["TemperatureScaling"]
        assert 0.05 < temperature < 20.01
        assert kept["confidence"].shape == kept["correct"].shape == (36,)
        assert load(path, device="cpu").inference.temperature == temperature
        assert f"{path.name}: temperature {temperature:.2f}, expected calibration" in caplog.text


@pytest.mark.parametrize("max_error", [0.0, 0.3, 0.99])
def test_review_lists_the_doubtful_images(fitted, confusing, tmp_path, max_error):
    run = fitted("aoi")
    best = load(run).trained.path
    threshold = review_threshold(*held_out_confidence(best), max_error)
    output = tmp_path / "out"
    args = aoi_args(confusing, run.parent.parent, f"--output={output}")
    config = tmp_path / "writer.yaml"
    config.write_text(
        "trainer:\n  callbacks:\n  - class_path: callbacks.AOIWriter\n    init_args:\n"
        f"      max_error: {max_error}\n"
    )
    main(["predict", *args, f"--config={config}", f"--ckpt_path={best}"])
    predicted = table(output / "probabilities.csv")
    doubtful = {row["ID"] for row in predicted if float(row["confidence"]) < threshold - 1e-6}
    review = table(output / "review.csv")
    assert {row["ID"] for row in review} >= doubtful
    assert len(review) <= len(predicted)
    confidence = [float(row["confidence"]) for row in review]
    assert confidence == sorted(confidence)
    if math.isinf(threshold):
        assert len(review) == len(predicted)


@pytest.mark.parametrize("option", ["temperature=3", "tta=true"])
def test_no_review_at_settings_that_its_threshold_is_not_for(fitted, confusing, tmp_path, option):
    run, output = fitted("aoi"), tmp_path / "out"
    args = aoi_args(confusing, run.parent.parent, f"--output={output}")
    best = load(run).trained.path
    main(["predict", *args, f"--ckpt_path={best}", f"--model.inference.{option}"])
    assert (output / "probabilities.csv").exists()
    assert not (output / "review.csv").exists()


def test_training_on_is_as_if_nothing_had_been_fitted(confusing, tmp_path):
    options = [*FIT[1:], "--trainer.log_every_n_steps=1"]
    main(["fit", *aoi_args(confusing, tmp_path / "whole", *options, "--trainer.max_epochs=3")])
    cut = aoi_args(confusing, tmp_path / "cut", *options)
    main(["fit", *cut, "--trainer.max_epochs=2"])
    main(["fit", *cut, "--trainer.max_epochs=3", "--ckpt_path=last"])
    whole, resumed = (
        read(one_run(tmp_path / name) / "checkpoints" / "last.ckpt") for name in ("whole", "cut")
    )
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    assert whole["hyper_parameters"]["inference"] == resumed["hyper_parameters"]["inference"]


def test_without_validation_images_nothing_is_fitted(confusing, tmp_path, caplog):
    limit = ["--trainer.limit_val_batches=0", "--trainer.max_epochs=1"]
    main(["fit", *aoi_args(confusing, tmp_path, *limit)])
    last = read(one_run(tmp_path) / "checkpoints" / "last.ckpt")
    assert last["hyper_parameters"]["inference"]["temperature"] is None
    assert "temperature: not fitted, there are no validation images" in caplog.text
