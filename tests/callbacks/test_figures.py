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

from callbacks import AOIFigures, VesselFigures
from callbacks.figures.held_out import figure
from datamodules.fundus_files import FundusFiles
from lit_models.metrics.image_scores import by_image
from lit_models.metrics.vessel_scores import VesselScores

CLASSES = ["normal", "void", "edge"]


def fake_trainer(
    folder, sample=False, rank=0, monitor="val/accuracy", mode="max", smoothing=0.1, **data
):
    """What a figure callback asks of a trainer, without training."""
    module = SimpleNamespace(
        hparams={"class_names": CLASSES},
        inference=SimpleNamespace(threshold=0.5),
        adversarial_loss=SimpleNamespace(balance=(2.0, 0.0)),
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
        checkpoint_callback=SimpleNamespace(monitor=monitor, mode=mode),
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


def table(folder, name):
    return read_table(folder / "figures" / f"{name}.csv")


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
    mistakes = table(tmp_path, "mistakes")
    assert {row["image"] for row in mistakes} == {"9.png", "10.png", "11.png"}
    assert all(row["true class"] != row["predicted class"] for row in mistakes)
    normal = table(tmp_path, "classes")[0]
    assert normal == {
        "class": "normal",
        "images": "4",
        "precision": "0.7500",
        "recall": "0.7500",
    }


def test_aoi_test_and_no_mistake(tmp_path):
    callback, trainer = AOIFigures(), fake_trainer(tmp_path, **aoi_data())
    for right in (11, 12):  # the second time nothing is left of the mistake
        callback.on_test_epoch_start(trainer, None)
        for outputs, batch in aoi_batches(right):
            callback.on_test_batch_end(trainer, None, outputs, batch, 0)
        callback.on_test_end(trainer, None)
    assert set(pictures(tmp_path)) == {"test_confusion", "test_examples"}
    assert not (tmp_path / "figures" / "test_mistakes.csv").exists()


def write_files(folder, name):
    side = 48
    rows, columns = np.mgrid[:side, :side]
    parts = {
        "image": np.stack([200 - 3 * columns, rows * 2, rows], axis=-1),
        "vessels": (abs(rows - columns) < 3) * 255,
        "fov": ((rows - 24) ** 2 + (columns - 24) ** 2 < 22**2) * 255,
    }
    paths = {}
    for part, pixels in parts.items():
        paths[part] = folder / f"{name}_{part}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(paths[part])
    return FundusFiles(**paths)


def vessel_batch(files, index):
    truth = torch.from_numpy(np.array(Image.open(files.vessels)) > 0)[None]
    fov = torch.from_numpy(np.array(Image.open(files.fov)) > 0)[None]
    probability = (truth[0].float() * 0.9).roll(1, 0) + 0.05
    batch = {
        "native_target": [truth],
        "native_fov": [fov if index else None],  # the first as if it had none
        "index": torch.tensor([index]),
    }
    scores = VesselScores()
    scores = by_image([scores.update(probability, truth, batch["native_fov"][0])])
    return {"probability": [probability], "scores": scores}, batch


def test_vessels(tmp_path, monkeypatch):
    monkeypatch.setattr("callbacks.figures.vessels.SHOWN", 2)
    files = [write_files(tmp_path, str(i)) for i in range(3)]
    trainer = fake_trainer(
        tmp_path, sample=True, monitor="val/loss", mode="min", val_set=SimpleNamespace(files=files)
    )
    names = {"val__fov__dice_pooled": [0.1, 0.2], "train__loss": [1, 0.5], "val__loss": [1, 0.7]}
    write_metrics(tmp_path, **names)
    callback = VesselFigures()
    batches = [vessel_batch(one, i) for i, one in enumerate(files)]
    run_epoch(callback, trainer, 0, batches, 1.0)
    run_epoch(callback, trainer, 1, batches, 0.7)
    assert [shown is None for part in callback._best for *_, shown in part] == [0, 0, 1]
    callback.on_fit_end(trainer, None)
    found = pictures(tmp_path)
    assert set(found) == {"curves", "vessels"}
    assert "epoch 2" in found["vessels"]["Title"]
    rows = table(tmp_path, "photographs")
    assert [row["photograph"] for row in rows] == [f"{i}_image.png" for i in range(3)]
    sensitivity = batches[2][0]["scores"]["fov/sensitivity_image_mean"]
    assert float(rows[2]["sensitivity"]) == pytest.approx(float(sensitivity), abs=1e-4)


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
    assert trainer.loggers[0].logged == [("figures/templates", [path], {"caption": ["Drawn."]})]


def test_a_figure_that_fails_is_one_warning(tmp_path):
    trainer = fake_trainer(tmp_path)
    with pytest.warns(UserWarning, match=r"^figure line not drawn: ValueError: no\.$") as caught:  # noqa: SIM117
        with figure(trainer, "line", (4, 2), "A line"):
            raise ValueError("no.\nand more")
    assert len(caught) == 1
    assert list(tmp_path.rglob("*.png")) == []
    with pytest.warns(UserWarning, match="curves not drawn"):
        AOIFigures().on_fit_end(trainer, None)  # no metrics.csv


@pytest.mark.parametrize("first", [float("nan"), 0.1])
def test_the_first_not_a_number_is_not_the_best_for_ever(tmp_path, first):
    callback, trainer = AOIFigures(), fake_trainer(tmp_path, **aoi_data())
    for epoch, score in enumerate((first, 0.5, float("nan"), 0.4)):
        run_epoch(callback, trainer, epoch, aoi_batches(6), score)
    assert callback._best_epoch == 2


def test_a_resumed_run_keeps_the_figures_of_a_better_epoch(tmp_path):
    trainer = fake_trainer(tmp_path, **aoi_data())
    write_metrics(tmp_path, train__loss=[1, 0.5, 0.4], val__accuracy=[0.5, 0.75, 0.25])
    for epoch, (best, score) in enumerate(((None, 0.75), (0.75, 0.5), (0.75, 0.8))):
        trainer.checkpoint_callback.best_model_score = best
        callback = AOIFigures()
        callback.on_fit_start(trainer, None)
        run_epoch(callback, trainer, epoch, aoi_batches(6), score)
        callback.on_fit_end(trainer, None)
        shown = {0: 1, 1: 1, 2: 3}[epoch]
        assert f"epoch {shown}" in pictures(tmp_path)["confusion"]["Title"]


def drawn_curves(callback, trainer, monkeypatch):
    """The panels of the curves by title, kept from their file."""
    import matplotlib.figure

    kept = []
    save = matplotlib.figure.Figure.savefig

    def keep(fig, *args, **options):
        kept.append(fig)
        save(fig, *args, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    callback.on_fit_end(trainer, None)
    return {axes.get_title("left"): axes for axes in kept[0].axes}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_share_an_axis_where_they_are_the_same_quantity(tmp_path, monkeypatch, smoothing):
    trainer = fake_trainer(tmp_path, smoothing=smoothing, **aoi_data())
    write_metrics(tmp_path, train__loss=[9, 8], val__loss=[1, 2], val__accuracy=[0.5, 1.0])
    (tmp_path / "run.json").write_text('{"task": "aoi"}')
    panels = drawn_curves(AOIFigures(), trainer, monkeypatch)
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
