"""Every config of the project through the real command line, on the built-in sample.

And ``load().predict``, which gives what ``cli.py predict`` writes, bit for bit.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS, ROOT, config_args, one_run, read_table
from PIL import Image

from cli import main
from inference import load

LIMITS = [
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
    "--trainer.log_every_n_steps=1",
]


def pixels(path):
    return np.array(Image.open(path))


def same_defects(results, written):
    rows = {row["ID"]: row for row in read_table(written / "probabilities.csv")}
    labels = {row["ID"]: row["Label"] for row in read_table(written / "predictions.csv")}
    assert len(results) == len(rows)
    for result in results:
        names = list(result.probabilities)
        assert names.index(result.label) == int(labels[result.name])
        for name, value in result.probabilities.items():
            assert rows[result.name][name] == f"{value:.6f}"


def same_vessels(results, written):
    for result in results:
        stem = Path(result.name).stem
        mask = pixels(written / f"{stem}_mask.png")
        assert np.array_equal(mask, result.mask * np.uint8(255))
        for kind in ("probability", "uncertainty"):
            values = getattr(result, kind)
            path = written / f"{stem}_{kind}.png"
            assert path.exists() == (values is not None)
            if values is not None:
                assert np.array_equal(pixels(path), np.rint(values * 65535).astype(np.uint16))


def same_copies(results, written):
    rows = {row["ID"]: row for row in read_table(written / "predictions.csv")}
    for result in results:
        written_pixels = pixels(written / f"{Path(result.name).stem}.png")
        assert np.array_equal(written_pixels, np.array(result.reconstruction))
        assert rows[result.name]["psnr"] == f"{result.psnr:.4f}"
        assert rows[result.name]["ssim"] == f"{result.ssim:.5f}"


def same_blots(results, written):
    for result in results:
        path = written / f"{Path(result.name).stem}.png"
        assert np.array_equal(pixels(path), np.array(result.image))


FIGURES = {
    "aoi": {"curves", "confusion", "examples"},
    "vessels": {"curves", "vessels"},
    "retina": {"curves", "reconstructions"},
    "blots": {"curves", "blots"},
}
SAME = {"aoi": same_defects, "vessels": same_vessels, "retina": same_copies, "blots": same_blots}


@pytest.fixture
def images(few):
    """A folder of what the task of a config takes, from the built-in sample."""

    def folder(task):
        from datamodules.synthetic import aoi, blots, drive
        from datamodules.synthetic.cache import cached_sample

        drawn = cached_sample({"aoi": aoi, "blots": blots}.get(task, drive).draw_sample, 0)
        if task == "blots":
            return drawn
        return few(drawn / ("test_images" if task == "aoi" else "test/images"), small=task == "aoi")

    return folder


@pytest.mark.parametrize("config", CONFIGS)
def test_config_runs_through_every_subcommand(config, tmp_path, images):
    main(["fit", *config_args(config, tmp_path, *LIMITS, figures=True)])
    folder, task = one_run(tmp_path), config.partition("_")[0]
    assert folder.parent.name == config
    assert (folder / "checkpoints" / "last.ckpt").exists()
    assert (folder / "report.html").exists()
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["sample"] is True
    assert record["task"] == task
    trained = (folder / "metrics.csv").read_text()
    assert "val/" in trained.splitlines()[0]

    given, args = images(task), config_args(config, tmp_path, *LIMITS, "--ckpt_path=best")
    for command in (["validate"], ["test"], ["predict", f"--data.predict_dir={given}"]):
        main([command[0], *args, *command[1:]])
        assert one_run(tmp_path) == folder
    record = json.loads((folder / "run.json").read_text())
    assert [one["stage"] for one in record["evaluations"]] == ["validate", "test"]
    assert record["stage"] == "fit"
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn - {"mistakes"} == FIGURES[task]
    (written,) = (folder / "predictions").iterdir()
    results = list(load(folder, device="cpu").predict(given))
    assert len(results) == len(read_table(written / "predictions.csv"))
    SAME[task](results, written)

    # All that makes the model and its input is in the checkpoint, as plain values.
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(checkpoint["hyper_parameters"]) >= {"_class_path"}
    assert checkpoint["datamodule_hyper_parameters"]["_class_path"].startswith("datamodules.")


OVERLAYS = sorted((ROOT / "configs").glob("logger/*.yaml")) + sorted(ROOT.glob("configs/debug/*"))


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_overlays_run_after_a_method(overlay, tmp_path, monkeypatch):
    if overlay.stem in ("mlflow", "tensorboard"):
        pytest.importorskip(overlay.stem)
    monkeypatch.chdir(tmp_path)
    args = config_args("blots", tmp_path / "runs", f"--config={overlay}", "--trainer.max_epochs=1")
    main(["fit", *args, "--trainer.limit_train_batches=2"])
    if overlay.stem == "csv":
        assert list(tmp_path.glob("runs/csv/**/metrics.csv"))
