"""Prediction files hold what the model said, in the order of the data."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from callbacks import AOIWriter, BlotWriter, RetinaWriter, VesselWriter
from datamodules.blot_style import NAMES
from datamodules.fundus_files import FundusFiles

MODULE = SimpleNamespace(
    hparams={"class_names": ["good", "bad"]},
    inference=SimpleNamespace(threshold=0.5, centerline=None),
    trainer=SimpleNamespace(ckpt_path="runs/first/checkpoints/last.ckpt"),
)


def predict(folder, writer, batches, world_size=1):
    trainer = SimpleNamespace(
        callbacks=[],
        ckpt_path=None,
        default_root_dir=str(folder),
        is_global_zero=True,
        world_size=world_size,
    )
    writer.on_predict_start(trainer, MODULE)
    for i, batch in enumerate(batches):
        writer.write_on_batch_end(trainer, MODULE, batch, None, None, i, 0)
    writer.on_predict_end(trainer, MODULE)


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def pixels(path):
    return np.array(Image.open(path))


def test_aoi(tmp_path, capsys):
    batches = [
        {
            "name": [f"{i}.png"],
            "index": torch.tensor([i]),
            "probabilities": torch.tensor([[p, 1 - p]], dtype=torch.bfloat16),
        }
        for i, p in ((1, 0.25), (0, 1.0))
    ]
    predict(tmp_path, AOIWriter(), batches)
    assert table(tmp_path / "predictions.csv") == [["ID", "Label"], ["0.png", "0"], ["1.png", "1"]]
    assert table(tmp_path / "probabilities.csv") == [
        ["ID", "label", "confidence", "good", "bad"],
        ["0.png", "good", "1.000000", "1.000000", "0.000000"],
        ["1.png", "bad", "0.750000", "0.250000", "0.750000"],
    ]
    assert capsys.readouterr().out == f"2 predictions: {tmp_path}\n"


def test_vessels(tmp_path):
    p = torch.tensor([[0.5, 0.5001], [0.0, 1.0]])
    fov = torch.ones(2, 2, dtype=torch.bool)
    batch = {"name": ["a/b.c.tif"], "index": torch.tensor([0]), "probability": [p], "fov": [fov]}
    batch["sharpness"] = [0.05]
    Image.new("RGB", (2, 2), "red").save(tmp_path / "c.tif")
    photographs = SimpleNamespace(files=[FundusFiles(tmp_path / "c.tif")])
    MODULE.trainer.datamodule = SimpleNamespace(predict_set=photographs)
    predict(tmp_path, VesselWriter(), [batch])
    overlay = pixels(tmp_path / "overlays/a/b.c.png")
    assert (overlay == [255, 0, 0]).all(axis=2).tolist() == [[True, False], [True, False]]
    header, *rows = table(tmp_path / "vessels.csv")
    assert header[:3] == ["ID", "region", "density"]
    assert [row[:3] for row in rows[:2]] == [
        ["a/b.c.tif", "whole", "nan"],
        ["a/b.c.tif", "upper_left", "nan"],
    ]
    assert rows[0][-1] == "many_vessels small_fov no_fov blurred"
    assert table(tmp_path / "predictions.csv")[1] == [
        "a/b.c.tif",
        "a/b.c_mask.png",
        "a/b.c_probability.png",
        "0.50000",
    ]
    assert pixels(tmp_path / "a/b.c_mask.png").tolist() == [[0, 255], [0, 255]]
    written = pixels(tmp_path / "a/b.c_probability.png")
    assert np.allclose(written / 65535, p.numpy(), atol=1 / 65535)


def test_several_blots_of_a_pair_and_their_styles(tmp_path):
    batches = [
        {
            "name": [f"{name}.png"] * 2,
            "index": torch.tensor([2 * number, 2 * number + 1]),
            "sample": torch.tensor([1, 2]),
            "style": torch.arange(8.0).expand(2, -1) + torch.tensor([[0.0], [100.25]]),
            "image": torch.full((2, 1, 3, 4 + number), number, dtype=torch.uint8),
            "clean": torch.full((2, 3, 4 + number), float(number)),
            "bands": torch.zeros(2, 3, 4 + number, dtype=torch.bool),
        }
        for number, name in ((1, "b"), (0, "a"))
    ]
    predict(tmp_path, BlotWriter(), batches)
    files = ["a_1.png", "a_2.png", "b_1.png", "b_2.png"]
    assert [row[1] for row in table(tmp_path / "predictions.csv")] == ["image", *files]
    header, *rows = table(tmp_path / "styles.csv")
    assert header == ["image", *NAMES]
    assert [row[0] for row in rows] == files
    assert rows[1][1:3] == ["100.2", "101.2"]
    assert pixels(tmp_path / "b_2.png").shape == (3, 5)


@pytest.mark.parametrize("writer", [AOIWriter, VesselWriter, RetinaWriter, BlotWriter])
def test_no_batch_is_an_empty_table(tmp_path, writer):
    predict(tmp_path, writer(), [])
    assert len(table(tmp_path / "predictions.csv")) == 1
