"""Figures are drawn, stamped, and never fail a run."""

import csv
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import read_table
from PIL import Image
from pytorch_lightning.loggers import WandbLogger

from callbacks import AOIFigures, BestCheckpoint, VesselFigures
from callbacks.figures.held_out import figure
from datamodules.fundus_files import FundusFiles

CLASSES = ["normal", "void", "edge"]


def fake_trainer(
    folder, sample=False, rank=0, monitor="val/accuracy", mode="max", smoothing=0.1, **data
):
    """What a figure callback asks of a trainer, without training."""
    module = SimpleNamespace(
        hparams={"class_names": CLASSES},
        inference=SimpleNamespace(threshold=0.5),
        loss=torch.nn.CrossEntropyLoss(label_smoothing=smoothing),
    )
    return SimpleNamespace(
        callbacks=[],
        default_root_dir=str(folder),
        is_global_zero=rank == 0,
        world_size=1,
        loggers=[],
        sanity_checking=False,
        state=SimpleNamespace(fn="fit"),
        current_epoch=0,
        callback_metrics={},
        checkpoint_callback=BestCheckpoint(monitor, mode),
        strategy=SimpleNamespace(reduce_boolean_decision=lambda decision: decision),
        datamodule=SimpleNamespace(is_sample=sample, **data),
        lightning_module=module,
    )


def run_epoch(callback, trainer, epoch, batches, score=None):
    trainer.current_epoch = epoch
    if score is not None:
        trainer.callback_metrics[trainer.checkpoint_callback.monitor] = torch.tensor(score)
    callback.on_validation_epoch_start(trainer, None)
    for index, (outputs, batch) in enumerate(batches):
        callback.on_validation_batch_end(trainer, None, outputs, batch, index)
    callback.on_validation_end(trainer, None)
    checkpoint = trainer.checkpoint_callback
    if score is not None and checkpoint.check_monitor_top_k(trainer, torch.tensor(score)):
        checkpoint.best_k_models = {"best": torch.tensor(score)}
        checkpoint.kth_best_model_path = "best"


def write_metrics(folder, **curves):
    """``metrics.csv`` and ``config.yaml``; names have ``__`` for the slash."""
    folder.mkdir(parents=True, exist_ok=True)
    curves = {name.replace("__", "/"): values for name, values in curves.items()}
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "step", *curves])
        writer.writeheader()
        for epoch, row in enumerate(zip(*curves.values(), strict=True)):
            writer.writerow({"epoch": epoch, "step": epoch, **dict(zip(curves, row, strict=True))})


def pictures(folder):
    """Name -> text of the PNG, after a look that none is blank."""
    found = {}
    for path in sorted((folder / "figures").rglob("*.png")):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
            assert pixels.std() > 5, f"{path.name} is blank"
            found[path.relative_to(folder / "figures").with_suffix("").as_posix()] = image.text
    return found


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not drawn.*")
        yield


def aoi_batches(right, count=12):
    labels = torch.arange(count) % 3
    predicted = torch.where(torch.arange(count) < right, labels, (labels + 1) % 3)
    probabilities = torch.full((count, 3), 0.1).scatter(1, predicted[:, None], 0.8)
    outputs = {"probabilities": probabilities, "target": labels, "index": torch.arange(count)}
    return [(outputs, {})]


class Images(list):
    def name(self, index):
        return f"{index}.png"


def aoi_data():
    images = Images()
    images.extend({"image": torch.randint(256, (1, 16, 16), dtype=torch.uint8)} for _ in range(12))
    return {"val_set": images, "test_set": images}


def test_aoi_draws_the_best_epoch(tmp_path):
    callback, trainer = AOIFigures(), fake_trainer(tmp_path, **aoi_data())
    write_metrics(tmp_path, train__loss=[1, 0.5, 0.4], val__accuracy=[0.5, 0.75, 0.25])
    for epoch, right in enumerate((6, 9, 3)):
        run_epoch(callback, trainer, epoch, aoi_batches(right), right / 12)
    callback.on_fit_end(trainer, None)
    found = pictures(tmp_path)
    assert set(found) == {"curves", "confusion", "mistakes", "examples"}
    assert "epoch 2" in found["confusion"]["Title"]
    assert "9 of 12" in found["confusion"]["Description"]
    mistakes = read_table(tmp_path / "figures" / "mistakes.csv")
    assert {row["image"] for row in mistakes} == {"9.png", "10.png", "11.png"}
    assert all(row["true class"] != row["predicted class"] for row in mistakes)
    classes = (tmp_path / "figures" / "classes.csv").read_text()
    assert classes.startswith("class,images,precision,recall\nnormal,4,0.7500,0.7500\n")


def test_aoi_test_and_no_mistake(tmp_path):
    callback, trainer = AOIFigures(), fake_trainer(tmp_path, **aoi_data())
    for right in (11, 12):  # the second time nothing is left of the mistake
        callback.on_test_epoch_start(trainer, None)
        for outputs, batch in aoi_batches(right):
            callback.on_test_batch_end(trainer, None, outputs, batch, 0)
        callback.on_test_end(trainer, None)
    assert set(pictures(tmp_path)) == {"test_confusion", "test_examples"}
    assert not (tmp_path / "figures" / "test_mistakes.csv").exists()


def test_wandb_gets_the_picture(tmp_path):
    class Recorder(WandbLogger):
        def __init__(self):
            self.logged = []

        def log_image(self, key, images, **options):
            self.logged.append((key, images, options))

    trainer = fake_trainer(tmp_path)
    trainer.loggers = [Recorder()]
    with figure(trainer, "templates", (4, 2), "Templates", "Drawn.") as fig:
        fig.subplots().plot([0, 1])
    path = str(tmp_path / "figures" / "templates.png")
    assert trainer.loggers[0].logged == [("figures/templates", [path], {})]


def test_a_figure_that_fails_is_one_warning(tmp_path):
    trainer = fake_trainer(tmp_path)
    (tmp_path / "metrics.csv").write_text("no\nnumbers\n")
    with pytest.warns(UserWarning, match="curves not drawn") as caught:
        AOIFigures().on_fit_end(trainer, None)
    assert len(caught) == 1
    assert list(tmp_path.rglob("*.png")) == []


def test_a_resumed_run_keeps_the_figures_of_a_better_epoch(tmp_path):
    trainer = fake_trainer(tmp_path, **aoi_data())
    write_metrics(tmp_path, train__loss=[1, 0.5, 0.4], val__accuracy=[0.5, 0.75, 0.25])
    for epoch, score in enumerate((0.75, 0.5, 0.8)):
        callback = AOIFigures()
        run_epoch(callback, trainer, epoch, aoi_batches(6), score)
        callback.on_fit_end(trainer, None)
        shown = {0: 1, 1: 1, 2: 3}[epoch]
        assert f"epoch {shown}" in pictures(tmp_path)["confusion"]["Title"]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_share_an_axis_where_they_are_the_same_quantity(tmp_path, monkeypatch, smoothing):
    trainer = fake_trainer(tmp_path, smoothing=smoothing, **aoi_data())
    write_metrics(tmp_path, train__loss=[9, 8], val__loss=[1, 2], val__accuracy=[0.5, 1.0])
    (tmp_path / "run.json").write_text('{"task": "aoi"}')
    kept = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda fig, *_, **__: kept.append(fig))
    AOIFigures().on_fit_end(trainer, None)
    panels = {axes.get_title("left"): axes for axes in kept[0].axes}
    found = {
        title: [list(line.get_ydata()) for line in axes.get_lines()]
        for title, axes in panels.items()
    }
    if smoothing:
        assert found["Training loss"] == [[9, 8]]
        assert found["Validation loss"] == [[1, 2]]
    else:
        assert found["Loss"] == [[9, 8], [1, 2]]
    labels = [text.get_text() for text in panels["Validation accuracy"].get_yticklabels()]
    assert max(float(label.removesuffix(" %")) for label in labels if label) <= 100


def test_a_field_of_view_without_a_mask_is_outlined(tmp_path):
    y, x = np.mgrid[-50:50, -50:50]
    disc, vessel = np.hypot(y, x) < 40, (np.abs(x) < 2) & (np.abs(y) < 20)
    for name, pixels in (("photograph", disc * 120), ("vessels", vessel * 255)):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.png")
    files = [FundusFiles(tmp_path / "photograph.png", tmp_path / "vessels.png")]
    trainer = fake_trainer(tmp_path, val_set=SimpleNamespace(files=files))
    (tmp_path / "figures").mkdir()
    kept = [(0, (0.5, 0.5, 0.5), torch.zeros(100, 100))]
    VesselFigures().draw(trainer, kept, "", "validation, epoch 1")
    with Image.open(tmp_path / "figures" / "vessels.png") as image:
        left = np.array(image.convert("RGB"))[: image.height * 3 // 4, : image.width // 3]
    sky = np.abs(left.astype(int) - (86, 180, 233)).max(axis=2) < 40
    assert 200 < sky.sum() < 4000  # a thin line
