"""Figures are drawn, stamped, and never fail a run."""

import csv
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import aoi_args
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger
from test_report import Page, assert_pictures, assert_self_contained

from callbacks import AOIFigures, BlotFigures, RetinaFigures, VesselFigures
from callbacks.figure import figure
from callbacks.progress import PlainLines, RichBar, progress_bar
from cli import main
from datamodules.drive import Eye


def fake_trainer(folder, sample=False, rank=0, monitor="val/accuracy", mode="max", **data):
    """What a figure callback asks of a trainer, without training."""
    return SimpleNamespace(
        log_dir=str(folder),
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
        lightning_module=SimpleNamespace(threshold=0.5),
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
    return [(probabilities, (None, labels, torch.arange(count)))]


def aoi_data():
    images = [(torch.randint(256, (1, 16, 16), dtype=torch.uint8), i % 3, i) for i in range(12)]
    return {"class_names": ["normal", "void", "edge"], "val_set": images, "test_set": images}


def test_aoi_draws_the_best_epoch(tmp_path):
    callback, trainer = AOIFigures(), fake_trainer(tmp_path, **aoi_data())
    write_metrics(tmp_path, train__loss=[1, 0.5, 0.4], val__accuracy=[0.5, 0.75, 0.25])
    for epoch, right in enumerate((6, 9, 3)):
        run_epoch(callback, trainer, epoch, aoi_batches(right), right / 12)
    callback.on_fit_end(trainer, None)
    found = pictures(tmp_path)
    assert set(found) == {"curves", "confusion", "mistakes"}
    assert "epoch 2" in found["confusion"]["Title"]
    assert "9 of 12" in found["confusion"]["Description"]
    assert "3 of 3 mistakes" in found["mistakes"]["Description"]


def test_aoi_test_and_no_mistake(tmp_path):
    callback, trainer = AOIFigures(), fake_trainer(tmp_path, **aoi_data())
    callback.on_test_epoch_start(trainer, None)
    for outputs, batch in aoi_batches(12):
        callback.on_test_batch_end(trainer, None, outputs, batch, 0)
    callback.on_test_end(trainer, None)
    found = pictures(tmp_path)
    assert set(found) == {"test_confusion", "test_mistakes"}
    assert found["test_mistakes"]["Description"].startswith("None of the 12 images")


def write_eye(folder, name, second=True):
    side = 48
    rows, columns = np.mgrid[:side, :side]
    parts = {
        "image": np.stack([200 - 3 * columns, rows * 2, rows], axis=-1),
        "vessels": (abs(rows - columns) < 3) * 255,
        "fov": ((rows - 24) ** 2 + (columns - 24) ** 2 < 22**2) * 255,
        "second": (abs(rows - columns) < 2) * 255,
    }
    paths = {}
    for part, pixels in parts.items():
        paths[part] = folder / f"{name}_{part}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(paths[part])
    return Eye(**paths) if second else Eye(**{**paths, "second": None})


def vessel_batch(eye, index):
    truth = torch.from_numpy(np.array(Image.open(eye.vessels)) > 0)[None]
    fov = torch.from_numpy(np.array(Image.open(eye.fov)) > 0)[None]
    probability = (truth[0].float() * 0.9).roll(1, 0) + 0.05
    batch = {
        "native_vessels": [truth],
        "native_fov": [fov if index else None],  # the first as if it had none
        "index": torch.tensor([index]),
    }
    return {"probability": [probability]}, batch


@pytest.mark.parametrize("second", [True, False])
def test_vessels(tmp_path, second):
    eyes = [write_eye(tmp_path, str(i), second) for i in range(3)]
    trainer = fake_trainer(
        tmp_path, sample=True, monitor="val/loss", mode="min", val_set=SimpleNamespace(eyes=eyes)
    )
    names = {"val__fov__iou_pooled": [0.1, 0.2], "train__loss": [1, 0.5], "val__loss": [1, 0.7]}
    write_metrics(tmp_path, **names)
    callback = VesselFigures(images=2)
    batches = [vessel_batch(eye, i) for i, eye in enumerate(eyes)]
    run_epoch(callback, trainer, 0, batches, 1.0)
    run_epoch(callback, trainer, 1, batches, 0.7)
    assert [one.probability is None for part in callback._best for one in part] == [0, 0, 1]
    callback.on_fit_end(trainer, None)
    found = pictures(tmp_path)
    assert set(found) == {"curves", "rows", "overlay", "iou", "precision_recall"}
    assert "epoch 2" in found["rows"]["Title"]
    assert "not on these drawings" in found["iou"]["Description"]
    every = [one for part in callback._best for one in part]
    hits, missed = sum(one.hits for one in every), sum(one.misses for one in every)
    truth = sum(int(one.counts[1].sum()) for one in every)
    assert hits + missed == truth > 0
    assert (callback._second_observer(every, eyes) is not None) == second


def test_retina(tmp_path):
    trainer = fake_trainer(tmp_path, monitor="val/psnr")
    write_metrics(tmp_path, train__loss=[0.1, 0.03], val__loss=[0.11, 0.006], val__psnr=[16, 28])
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    batch = {"image": images, "input_size": torch.tensor([[30, 28]])}
    callback = RetinaFigures(images=2)
    for epoch, psnr in enumerate((16.0, 28.0)):
        noisy = images + 0.2 / (epoch + 1) * torch.randn_like(images)
        run_epoch(callback, trainer, epoch, [(noisy, batch)] * 3, psnr)
    assert [tuple(pair.shape) for part in callback._best for pair in part] == [(2, 3, 30, 28)] * 2
    callback.on_fit_end(trainer, None)
    found = pictures(tmp_path)
    assert set(found) == {"curves", "reconstructions"}
    assert "amplified" in found["reconstructions"]["Description"]


def test_blots_and_their_film(tmp_path):
    trainer = fake_trainer(tmp_path, monitor=None)
    names = ("train__d_loss", "train__g_loss", "train__d_loss_step", "train__g_loss_step")
    accuracies = {f"val__d_accuracy_{kind}": [0.5] * 5 for kind in ("real", "fake")}
    write_metrics(tmp_path, **{name: [1.2, 1, 0.9, 0.8, 0.7] for name in names}, **accuracies)
    callback = BlotFigures(every_n_epochs=2, images=3)
    templates, targets = torch.rand(2, 2, 16, 16) * 2 - 1, torch.rand(2, 1, 16, 16) * 2 - 1
    for epoch in range(5):
        batches = [(targets * epoch / 5, (templates, targets, None))] * 2
        run_epoch(callback, trainer, epoch, batches)
    assert set(callback._film) == {1, 2, 4}
    resumed = BlotFigures(every_n_epochs=2, images=3)
    resumed.load_state_dict(callback.state_dict())
    run_epoch(resumed, trainer, 5, batches)
    resumed.on_fit_end(trainer, None)
    found = pictures(tmp_path)
    assert set(found) == {"curves", "blots", "film"} | {f"templates/000{n}" for n in (1, 2, 4, 6)}
    assert "epoch 6" in found["blots"]["Title"]


def test_sample_is_stamped_above_the_drawing(tmp_path):
    sizes = {}
    for sample in (False, True):
        folder = tmp_path / str(sample)
        with figure(fake_trainer(folder, sample), "line", (4, 2), "A line", "Up.") as fig:
            fig.subplots().plot([0, 1])
        with Image.open(folder / "figures" / "line.png") as image:
            sizes[sample] = image.size
            assert image.text["Description"] == (
                "Sample data (synthetic). Up." if sample else "Up."
            )
            corner = image.convert("RGB").getpixel((3, 3))
            assert (corner == (255, 255, 255)) != sample
    assert sizes[True][0] == sizes[False][0]
    assert sizes[True][1] > sizes[False][1]


def test_only_rank_zero_writes(tmp_path):
    with figure(fake_trainer(tmp_path, rank=1), "line", (4, 2), "A line") as fig:
        fig.subplots().plot([0, 1])
    assert list(tmp_path.iterdir()) == []


def test_wandb_gets_the_picture(tmp_path):
    class Recorder(WandbLogger):
        def __init__(self):
            self.logged = []

        def log_image(self, key, images, **options):
            self.logged.append((key, images, options))

    trainer = fake_trainer(tmp_path)
    trainer.loggers = [Recorder()]
    with figure(trainer, "templates/0010", (4, 2), "Templates", "Drawn.") as fig:
        fig.subplots().plot([0, 1])
    path = str(tmp_path / "figures" / "templates" / "0010.png")
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


def test_fit_and_test_leave_a_report(aoi_folder, tmp_path, capsys):
    args = aoi_args(aoi_folder, tmp_path / "runs", "--run.name=r", "--run.wandb=disabled")
    main(["fit", *args, "--trainer.max_epochs=2"])
    out = capsys.readouterr().out
    folder = tmp_path / "runs" / "aoi" / "r"
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert all("val/accuracy" in line and "train/loss" in line for line in lines)
    assert "\x1b" not in out
    assert f"report {folder / 'report.html'}" in out
    assert set(pictures(folder)) == {"curves", "confusion", "mistakes"}
    page = Page(folder / "report.html")
    assert_pictures(page, 3)
    assert_self_contained(page)
    assert str(aoi_folder) in page.text

    best = next((folder / "checkpoints").glob("epoch=*.ckpt"))
    main(["test", *args, f"--ckpt_path={best}"])
    page = Page(folder / "report.html")
    assert_pictures(page, 5)
    assert [cell for metric, cell, *_ in page.numbers if metric == "test/accuracy"] == ["evaluated"]


class Interrupt(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt


def test_interrupted_run_leaves_a_report(aoi_folder, tmp_path):
    args = aoi_args(aoi_folder, tmp_path / "runs", "--run.name=r", "--run.wandb=disabled")
    with pytest.raises(SystemExit):
        main(["fit", *args, "--trainer.callbacks+=test_figures.Interrupt"])
    page = Page(tmp_path / "runs" / "aoi" / "r" / "report.html")
    assert "<strong>Interrupted</strong> after 1 epoch:" in page.text
    assert_pictures(page, 3)


def test_bars_only_on_a_terminal(monkeypatch):
    assert isinstance(progress_bar("aoi"), PlainLines)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    bar = progress_bar("aoi")
    assert isinstance(bar, RichBar)
    module = SimpleNamespace()
    trainer = SimpleNamespace(
        callback_metrics={"val/accuracy": torch.tensor(0.5), "val/f1_macro": torch.tensor(0.1)},
        checkpoint_callbacks=[],
        progress_bar_metrics={},
        loggers=[],
        sanity_checking=False,
        state=SimpleNamespace(fn="fit"),
    )
    bar.on_validation_end(trainer, module)
    assert bar.get_metrics(trainer, module) == {"val/accuracy": 0.5}
