"""The benchmarks run on small data, and their figures are what they say."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT, aoi_args, config_args, one_run, write_aoi
from PIL import Image
from torchvision.models import resnet18

from benchmarks.tiny_data import write_blots, write_drive
from cli import main
from datamodules.synthetic import drive as fundus
from datamodules.synthetic.blots import draw_sample

pytestmark = pytest.mark.scripts


@pytest.fixture
def record(printed):
    return lambda *command: json.loads(printed(*command)[-1])


@pytest.fixture
def table(printed):
    """The rows of the Markdown table that a script prints, as lists of cells."""

    def run(script, *options):
        lines = printed(f"benchmarks/{script}", *map(str, options))
        rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ")]
        return [[cell.strip() for cell in row] for row in rows[1:]]

    return run


def trained(config, root, *options):
    """The last checkpoint of a small run of one epoch."""
    main(["fit", *config_args(config, root, "--trainer.max_epochs=1", *options)])
    return one_run(root) / "checkpoints" / "last.ckpt"


def test_plain_loops_train_on_every_image(aoi_folder, tmp_path, record):
    torch.manual_seed(0)
    weights = tmp_path / "weights.pth"
    torch.save(resnet18().state_dict(), weights)
    options = ["aoi", f"--data_dir={aoi_folder}", f"--weights={weights}", "--epochs=2"]
    aoi = record("benchmarks/plain.py", *options)
    assert len(aoi["scores"]) == len(aoi["epoch_seconds"]) == 2
    assert 0 <= min(aoi["scores"]) <= max(aoi["scores"]) <= 1
    write_blots(tmp_path)
    for more in ([], ["--shipped"]):
        blots = record("benchmarks/plain.py", "blots", f"--data_dir={tmp_path}", *more)
        assert 10 < len(blots["step_seconds"]) < 23, "all triples but the held-out membranes'"
        assert -1 <= blots["scores"][0] <= 1


def test_blots_are_scored(tmp_path, table):
    (tmp_path / "blots").mkdir()
    draw_sample(tmp_path / "blots", 0)
    options = [f"--data.data_dir={tmp_path / 'blots'}", "--data.size=64", "--data.fold=0"]
    options += ["--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1"]
    checkpoint = trained("blots_style", tmp_path, *options)
    rows = table("blot_scores.py", checkpoint, "--data_dir", tmp_path / "blots")
    scores = {row[0]: float(row[1]) for row in rows}
    assert 50 < scores["detector, all, %"] <= 100
    assert 0 < scores["L1, ridge, true levels"] < scores["L1, true style"]
    assert scores["Dice, real"] <= 1


def test_maps_are_scored_by_protocol(tmp_path, table):
    """The drawn vessels as predictions: right everywhere."""
    write_drive(tmp_path)
    maps = tmp_path / "maps"
    maps.mkdir()
    for n in range(1, 4):
        drawn = Image.open(tmp_path / "test" / "1st_manual" / f"{n:02d}_manual1.gif").convert("L")
        drawn.save(maps / f"{n:02d}_test_mask.png")
        probability = np.asarray(drawn, np.uint16) // 255 * 65535
        Image.fromarray(probability).save(maps / f"{n:02d}_test_probability.png")
    rows = table("vessel_protocols.py", maps, f"--data_dir={tmp_path}")
    protocols = ["fov, pooled", "fov, image mean", "full image, pooled", "full image, image mean"]
    assert [row[1] for row in rows] == protocols
    assert all(row[2] == "1.0000" for row in rows)


def test_other_sets_are_scored(tmp_path, table):
    fundus.draw_sample(tmp_path, 0)
    rows = table("vessel_transfer.py", ROOT / "pretrained" / "vessels_best.ckpt", tmp_path)
    fixed, best = float(rows[0][2]), float(rows[0][4].split()[0])
    assert 0.5 < fixed <= best + 0.01  # on a grid
    assert rows[2][:2] == ["density", "network"]


def test_a_config_on_the_accelerator_at_hand(table):
    rows = table("accelerator.py", "--configs", "blots_style", "--small")
    (row,) = (row for row in rows if row[0] == "blots_style")
    assert all(0 <= float(cell) < 0.1 for cell in row[3:9])
    assert row[-1] == "yes"


def test_files_of_compress_are_beside_other_formats(tmp_path, table, monkeypatch):
    write_drive(tmp_path)
    checkpoint = trained("vessels", tmp_path / "runs", f"--data.data_dir={tmp_path}")
    figure = tmp_path / "kept.png"
    options = ["--images=1", f"--vessels={checkpoint}", f"--figure={figure}"]
    rows = {
        name: cells for name, *cells in table("compression.py", f"--data_dir={tmp_path}", *options)
    }
    rate, times, coarse = map(float, rows["compress, quality 50"][:3])
    assert times == pytest.approx(24 / rate, rel=0.01)
    assert float(rows["compress, quality 95"][2]) > coarse
    assert {name.partition(",")[0] for name in rows} >= {"compress", "AVIF", "WebP", "JPEG"}
    assert figure.stat().st_size > 1000


def test_damaged_panels_are_classified(table, tmp_path):
    images = write_aoi(tmp_path / "images")
    main(["fit", *aoi_args(images, tmp_path, "--trainer.max_epochs=1")])
    rows = table("aoi_corruptions.py", one_run(tmp_path), "--data_dir", images)
    assert [row[0] for row in rows].count("new") == 12
    shares = [float(row[2].partition("%")[0]) for row in rows if "mean" not in row[1]]
    assert all(0 <= share <= 100 for share in shares)


def test_steps_are_timed_and_counted(table):
    options = ["--steps=2", "--warm-up=2", "--aoi-images=0", "--modes=eager"]
    small = ["--data.augmentation.crop=32", "--data.val_size=3"]
    (row,) = table("gpu_steps.py", "--configs=retina_best", *options, *small)
    assert row[:2] == ["retina_best", "eager"]
    rate, milliseconds, operations = map(float, row[2:5])
    assert rate * milliseconds == pytest.approx(1000, rel=0.05)
    assert 150 < operations < 700


SMALL_AOI = ["--options", "--model.network.name=tiny", "--model.network.weights=random"]
SMALL_AOI += ["--data.image_size=32", "--data.num_workers=0", "--trainer.max_epochs=2"]


def test_unknown_images_and_wrong_labels_are_looked_for(aoi_folder, table, printed):
    foreign = aoi_folder / "test_images"
    given = ["--data_dir", aoi_folder, "--foreign", foreign, "--classes", 1, *SMALL_AOI]
    first, mean = table("unknown.py", *given)
    assert first[1:] == mean[1:]
    assert len(first) == 7
    assert all(0 <= float(value) <= 1 for value in first[1:])
    given = ["--data_dir", str(aoi_folder), "--share", "0.1", *SMALL_AOI]
    assert "5 of 48 labels changed, " in printed("benchmarks/label_errors.py", *given)[-1]
