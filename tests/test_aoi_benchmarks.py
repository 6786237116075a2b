"""The benchmarks of AOI: heads, backbones, damaged panels."""

import runpy

import numpy as np
import pytest
import torch
from conftest import ROOT, aoi_args, one_run, write_aoi

from cli import main

pytestmark = pytest.mark.scripts


@pytest.fixture
def table(printed):
    """The rows of the Markdown table that a script prints, as lists of cells."""

    def run(script, *options):
        lines = printed(f"benchmarks/{script}", *map(str, options))
        rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ")]
        return [[cell.strip() for cell in row] for row in rows[1:]]

    return run


@pytest.fixture(scope="module")
def kinds():
    """The benchmark's ways to damage a panel, by name."""
    groups = runpy.run_path(str(ROOT / "benchmarks" / "aoi_corruptions.py"))["KINDS"]
    return {name: kind for group in groups.values() for name, kind in group.items()}


def test_each_damage_is_of_its_seed_and_keeps_the_size(kinds):
    panel = np.random.default_rng(0).integers(60, 200, (72, 72)).astype(float)
    for name, kind in kinds.items():
        before = panel.copy()
        once, again, other = (kind(panel, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.array_equal(panel, before), f"{name} writes into what it was given"
        assert once.shape == panel.shape, name
        assert np.array_equal(once, again), name
        assert np.isfinite(other).all(), name
        assert np.array_equal(once, panel) == (name == "clean"), name


def test_damaged_panels_are_classified(table, tmp_path):
    images = write_aoi(tmp_path / "images")
    main(["fit", *aoi_args(images, tmp_path, "--trainer.max_epochs=1")])
    rows = table("aoi_corruptions.py", one_run(tmp_path), "--data_dir", images)
    assert [row[0] for row in rows].count("new") == 12
    shares = [float(row[2].partition("%")[0]) for row in rows if "mean" not in row[1]]
    assert all(0 <= share <= 100 for share in shares)


def test_heads_are_compared_over_folds_and_few_labels(table, tmp_path):
    torch.manual_seed(0)
    images = write_aoi(tmp_path / "images", images_per_class=10)
    options = ["--data_dir", images, "--weights", "random", "--image_size", 32, "--labels", 5]
    rows = {row[0]: row[1:] for row in table("aoi_heads.py", *options)}
    assert "Adam at 0.003, 50 epochs (`aoi_probe.yaml`)" in rows
    # Brightness tells the classes apart, so even random features do.
    assert float(rows["logistic regression"][0].partition("%")[0]) > 50


def test_other_backbones_are_timed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    measured = runpy.run_path(str(ROOT / "benchmarks" / "aoi_backbones.py"))["measured"]
    parameters, seconds, peak = measured("shufflenet_v2_x0_5", 32, 2, 1)
    assert 300_000 < parameters < 400_000
    assert 0 < seconds < 60
    assert 0.05 < peak < 20, "GiB"
