"""The checkpoint says how sure to be and what is unknown, and all that reads it listens."""

import math
import random

import numpy as np
import pytest
import torch
from conftest import aoi_args, config_args, one_run, read_table, write_aoi
from PIL import Image

from callbacks.after_training import TemperatureScaling, fit_temperature
from cli import main
from experiment.checkpoints import read_checkpoint
from inference import load
from lit_models.postprocessing.defects import DefectPostprocessor, UnknownScore, review_threshold

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


@pytest.fixture
def board(tmp_path):
    """An image unlike those: a chessboard of single pixels."""
    path = tmp_path / "board.png"
    Image.fromarray(np.uint8(255 * (np.indices((32, 32)).sum(axis=0) % 2))).save(path)
    return path


def read(path):
    return torch.load(path, weights_only=True)


def held_out_confidence(path):
    kept = read_checkpoint(path).callbacks["TemperatureScaling"]
    return kept["confidence"], kept["correct"]


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
        assert f"{path.name}: temperature {temperature:.2f} for 36 i" in caplog.text


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
    predicted = read_table(output / "probabilities.csv")
    doubtful = {row["ID"] for row in predicted if float(row["confidence"]) < threshold - 1e-6}
    review = read_table(output / "review.csv")
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


def test_the_best_checkpoint_that_is_the_last_is_fitted_once(confusing, tmp_path, monkeypatch):
    fits, fit_to = [], TemperatureScaling.fit_to
    monkeypatch.setattr(TemperatureScaling, "fit_to", lambda *a: fits.append(1) or fit_to(*a))
    main(["fit", *aoi_args(confusing, tmp_path, "--trainer.max_epochs=1")])
    assert len(fits) == 1
    found = [read(path) for path in (one_run(tmp_path) / "checkpoints").glob("*.ckpt")]
    best, last = (one["hyper_parameters"]["inference"]["temperature"] for one in found)
    assert best == last is not None


def test_without_validation_images_nothing_is_fitted(confusing, tmp_path, caplog):
    limit = ["--trainer.limit_val_batches=0", "--trainer.max_epochs=1"]
    main(["fit", *aoi_args(confusing, tmp_path, *limit)])
    last = read(one_run(tmp_path) / "checkpoints" / "last.ckpt")
    assert last["hyper_parameters"]["inference"]["temperature"] is None
    assert "TemperatureScaling: not fitted, there are no validation images" in caplog.text


def test_the_score_is_the_larger_rank():
    features = torch.eye(3).half()[:2]
    score = UnknownScore(features, torch.tensor([0.1, 0.2]), torch.tensor([0.01, 0.3]), 0.5)
    sure, unsure = torch.tensor([[0.95, 0.05], [0.6, 0.4]])
    known, other = torch.tensor([2.0, 0.1, 0]), torch.tensor([0, 0, 1.0])
    found = [
        float(score(f[None], p[None])) for f, p in ((known, sure), (known, unsure), (other, sure))
    ]
    assert found == [0, 1, 1]


@pytest.mark.parametrize("config", ["aoi", "aoi_best"])
def test_what_tells_unknown_images_is_kept(fitted, config):
    run = fitted(config)
    for path in (run / "checkpoints").glob("*.ckpt"):
        state = read_checkpoint(path).callbacks["UnknownDetection"]
        assert state["features"].shape == (36, 16)
        assert state["features"].dtype == torch.float16
        known = UnknownScore(**state)
        doubts, distances = known.doubts, known.distances
        ranks = [(x[:, None] > x).float().mean(1) for x in (doubts, distances)]
        flagged = torch.maximum(*ranks) > known.threshold
        assert float(flagged.float().mean()) <= 0.05


@pytest.mark.parametrize("config", ["aoi", "aoi_best"])
def test_predict_and_load_agree_on_the_unknown(fitted, config, board, confusing, tmp_path):
    run = fitted(config)
    args = config_args(config, tmp_path, f"--ckpt_path={run}", "--trainer.precision=32-true")
    main(["predict", *args, f"--data.predict_dir={board}", f"--output={tmp_path / 'out'}"])
    (row,) = read_table(tmp_path / "out" / "probabilities.csv")
    (listed,) = read_table(tmp_path / "out" / "review.csv")
    assert list(row)[:4] == ["ID", "label", "confidence", "unknown"]
    assert float(row["unknown"]) == 1
    assert "unknown" in listed["reason"].split()
    model = load(run, device="cpu", precision="32-true")
    result = model.predict(board)
    assert result.is_unknown
    assert result.unknown == pytest.approx(float(row["unknown"]), abs=1e-6)
    assert result.numbers()["unknown"].startswith("yes (1.000, limit")
    training = next(model.predict(confusing / "train_images"))
    assert 0 <= training.unknown <= 1
    assert training.is_unknown == (training.unknown > training.unknown_above)


def test_not_at_another_temperature_nor_of_old_checkpoints(fitted, board, tmp_path):
    args = aoi_args(None, tmp_path, f"--data.predict_dir={board}")
    path = load(fitted("aoi"), device="cpu").trained.path
    other = [f"--ckpt_path={path}", "--model.inference.temperature=3"]
    main(["predict", *args, *other, f"--output={tmp_path / 'other'}"])
    old = torch.load(path, weights_only=True)
    del old["callbacks"]["UnknownDetection"]
    torch.save(old, tmp_path / "old.ckpt")
    main(["predict", *args, f"--ckpt_path={tmp_path / 'old.ckpt'}", f"--output={tmp_path / 'old'}"])
    for name in ("other", "old"):
        assert "unknown" not in read_table(tmp_path / name / "probabilities.csv")[0]
    result = load(tmp_path / "old.ckpt", device="cpu").predict(board)
    assert result.unknown is None
    assert not result.is_unknown
