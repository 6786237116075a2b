"""Images unlike any in training are called unknown: by predict, load() and the exported file."""

import csv

import numpy as np
import pytest
import torch
from conftest import aoi_args, config_args, one_run
from PIL import Image

from cli import main
from experiment.checkpoints import read_checkpoint
from inference import load
from lit_models.postprocessing.unknown import UnknownScore

FIT = ["--trainer.max_epochs=2", "--data.val_fraction=0.5", "--trainer.precision=32-true"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Runs of both configs on images of one gray level each, and a folder to predict."""
    folder = tmp_path_factory.mktemp("gray")
    rng = np.random.default_rng(0)
    for label in range(4):
        for number in range(12):
            path = folder / "images" / f"gray {label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.normal(60 + 40 * label, 4, (32, 32))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    (folder / "new").mkdir()
    board = np.indices((32, 32)).sum(axis=0) % 2
    Image.fromarray(np.uint8(255 * board)).save(folder / "new" / "board.png")
    runs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        for config in ("aoi", "aoi_best"):
            root = folder / "runs" / config
            args = config_args(config, root, f"--data.data_dir={folder / 'images'}", *FIT)
            main(["fit", *args])
            runs[config] = one_run(root)
    return runs, folder / "new"


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


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
def test_it_is_kept_in_the_checkpoint(fitted, config, caplog):
    run = fitted[0][config]
    for path in (run / "checkpoints").glob("*.ckpt"):
        state = read_checkpoint(path).callbacks["UnknownDetection"]
        assert state["features"].shape == (24, 16)
        assert state["features"].dtype == torch.float16
        known = UnknownScore(**state)
        doubts, distances = known.doubts, known.distances
        ranks = [(x[:, None] > x).float().mean(1) for x in (doubts, distances)]
        flagged = torch.maximum(*ranks) > known.threshold
        assert float(flagged.float().mean()) <= 0.05


@pytest.mark.parametrize("config", ["aoi", "aoi_best"])
def test_predict_and_load_agree(fitted, config, tmp_path):
    runs, new = fitted
    args = config_args(config, tmp_path, f"--ckpt_path={runs[config]}")
    main(["predict", *args, f"--data.predict_dir={new}", f"--output={tmp_path / 'out'}"])
    (row,) = table(tmp_path / "out" / "probabilities.csv")
    (listed,) = table(tmp_path / "out" / "review.csv")
    assert list(row)[:4] == ["ID", "label", "confidence", "unknown"]
    assert float(row["unknown"]) == 1
    assert "unknown" in listed["reason"].split()
    model = load(runs[config], device="cpu", precision="32-true")
    result = model.predict(new / "board.png")
    assert result.is_unknown
    assert result.unknown == pytest.approx(float(row["unknown"]), abs=1e-6)
    assert result.numbers()["unknown"].startswith("yes (1.000, limit")
    training = next(model.predict([next((new.parent / "images").rglob("*.png"))]))
    assert 0 <= training.unknown <= 1
    assert training.is_unknown == (training.unknown > training.unknown_above)


def test_not_at_another_temperature_nor_of_old_checkpoints(fitted, tmp_path):
    run, new = fitted[0]["aoi"], fitted[1]
    args = aoi_args(None, tmp_path, f"--data.predict_dir={new}")
    path = load(run, device="cpu").trained.path
    other = [f"--ckpt_path={path}", "--model.inference.temperature=3"]
    main(["predict", *args, *other, f"--output={tmp_path / 'other'}"])
    old = torch.load(path, weights_only=True)
    del old["callbacks"]["UnknownDetection"]
    torch.save(old, tmp_path / "old.ckpt")
    main(["predict", *args, f"--ckpt_path={tmp_path / 'old.ckpt'}", f"--output={tmp_path / 'old'}"])
    for name in ("other", "old"):
        assert "unknown" not in table(tmp_path / name / "probabilities.csv")[0]
    result = load(tmp_path / "old.ckpt", device="cpu").predict(new / "board.png")
    assert result.unknown is None
    assert not result.is_unknown
