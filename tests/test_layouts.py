"""Data as people have them train, validate, test and predict with one option."""

import csv
import gzip
import io

import numpy as np
import pytest
from conftest import aoi_args, config_args, one_run
from PIL import Image

from benchmarks import tiny_data
from cli import main
from common.errors import DataError
from inference import export, load

COLORS = {"blue": (40, 60, 200), "red": (200, 50, 40), "type 3": (60, 180, 60)}


def draw_classes(root, *splits, count=4):
    """Color images of noise about one color per class, ``SPLIT/CLASS/NUMBER.jpg``."""
    rng = np.random.default_rng(0)
    for split in splits or ("",):
        for name, color in COLORS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(color, 10, (24, 40, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return root


def write_table(root, *splits):
    draw_classes(root, *splits)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    with (root / "labels.csv").open("w", newline="") as file:
        rows = [(name.rpartition(".")[0], name.split("/")[1], name.split("/")[0]) for name in files]
        csv.writer(file, delimiter=";").writerows([("filename", "class", "split"), *rows])
    return root


@pytest.mark.parametrize(
    ("write", "splits", "understood"),
    [
        (
            draw_classes,
            ("train", "test"),
            "one folder per class in train/, test/, color; 9 training",
        ),
        (draw_classes, ("", "test"), "one folder per class in test/, color; 9 training"),
        (write_table, ("train", "val", "test"), "labels.csv with its splits, color; 12 training"),
    ],
)
def test_classes_train_test_and_predict(tmp_path, caplog, write, splits, understood):
    data = write(tmp_path / "set", *splits)
    args = aoi_args(data, tmp_path / "runs", "--data.resize=crop", "--run.wandb=disabled")
    main(["fit", *args, "--trainer.max_epochs=1"])
    assert understood in caplog.text
    run = one_run(tmp_path / "runs")
    cli = main(["validate", *args, f"--ckpt_path={run}"])
    assert cli.model.hparams["class_names"] == ["blue", "red", "type 3"]
    assert "is the checkpoint's" not in caplog.text.replace("data.resize is", "")
    assert len(main(["test", *args, f"--ckpt_path={run}"]).datamodule.test_set) == 12
    main(["predict", *args, f"--ckpt_path={run}", f"--output={tmp_path / 'out'}"])
    rows = list(csv.DictReader((tmp_path / "out" / "probabilities.csv").open()))
    assert len(rows) == 12
    assert list(rows[0])[3:] == ["blue", "red", "type 3"]
    model = load(run)
    result = model.predict(data / rows[0]["ID"])
    assert result.label == rows[0]["label"]
    assert result.confidence == pytest.approx(float(rows[0]["confidence"]), abs=1e-3)
    assert result.heatmap.shape == (24, 40)
    assert not result.heatmap[:, :8].any()  # cut off by "crop"


def test_a_model_of_other_classes_is_refused_by_name(tmp_path):
    args = ["--trainer.max_epochs=1", "--run.wandb=disabled"]
    main(["fit", *aoi_args(draw_classes(tmp_path / "set"), tmp_path / "runs", *args)])
    run = one_run(tmp_path / "runs")
    (tmp_path / "set" / "blue").rename(tmp_path / "set" / "green")
    for verb, more in (("validate", []), ("fit", ["--trainer.max_epochs=2"])):
        with pytest.raises(DataError, match=r"label 'green' of .* \(blue, red, type 3\)"):
            main(
                [verb, *aoi_args(tmp_path / "set", tmp_path / "runs"), *more, f"--ckpt_path={run}"]
            )


def photograph(number):
    disc = np.hypot(*np.mgrid[-22:22, -20:20]) < 18
    noise = np.random.default_rng(number).integers(90, 160, (44, 40, 3), np.uint8)
    return Image.fromarray(noise * disc[..., None].astype(np.uint8))


def vessels(number):
    drawn = np.zeros((44, 40), np.uint8)
    drawn[15 + number, 8:30] = 255
    return Image.fromarray(drawn)


def write_set(root, names, numbers=range(1, 8)):
    for number in numbers:
        for name, draw in zip(names, (photograph, vessels), strict=False):
            path = root / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            image = draw(number)
            if path.suffix == ".gz":
                image.save(buffer := io.BytesIO(), "PPM")
                path.write_bytes(gzip.compress(buffer.getvalue()))
            else:
                image.save(path)
    return root


@pytest.mark.parametrize(
    ("config", "names", "understood"),
    [
        (
            "vessels",
            ("Image_0{}L.jpg", "Image_0{}L_1stHO.png"),
            "(vessels); no given split",
        ),
        ("vessels", ("im000{}.ppm.gz", "im000{}.ah.ppm.gz"), "2 training, 4 validation and 1 test"),
        ("retina", ("a/{}.jp2",), "photographs in folders below; no given split; 2 training"),
    ],
)
def test_photographs_train_test_and_predict(tmp_path, caplog, config, names, understood):
    data = write_set(tmp_path / "set", names)
    options = [f"--data.data_dir={data}", "--run.wandb=disabled"]
    args = config_args(config, tmp_path / "runs", *options, figures=config == "vessels")
    main(["fit", *args, "--trainer.max_epochs=1"])
    assert understood in caplog.text
    run = one_run(tmp_path / "runs")
    assert len(main(["validate", *args, f"--ckpt_path={run}"]).datamodule.val_set) == 4
    assert len(main(["test", *args, f"--ckpt_path={run}"]).datamodule.test_set) == 1
    other = write_set(tmp_path / "other", ("images/{}.png", "labels/{}.png"))
    tested = main(["test", *args, f"--ckpt_path={run}", f"--data.test_dir={other}"])
    assert len(tested.datamodule.test_set) == 7
    main(["predict", *args, f"--ckpt_path={run}", f"--output={tmp_path / 'out'}"])
    folder = [f"--data.predict_dir={data / 'a' if config == 'retina' else data}"]
    main(["predict", *args, f"--ckpt_path={run}", f"--output={tmp_path / 'all'}", *folder])
    rows = [list(csv.reader((tmp_path / o / "predictions.csv").open())) for o in ("out", "all")]
    assert [len(table) - 1 for table in rows] == [1, 7]
    assert ("7 drawings left out" in caplog.text) == (config == "vessels")


@pytest.mark.parametrize(
    ("folders", "width"), [(("",), 32), (("trainA", "trainB", "testA", "testB"), 16)]
)
def test_pairs_train_test_and_predict(tmp_path, caplog, folders, width):
    rng = np.random.default_rng(0)
    for folder in folders:
        (tmp_path / "set" / folder).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (16, width, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / folder / f"{number}.png")
    options = [f"--data.data_dir={tmp_path / 'set'}", "--run.wandb=disabled"]
    args = config_args("blots", tmp_path / "runs", *options, figures=True)
    main(["fit", *args, "--trainer.max_epochs=1"])
    assert "8 training and 2 held-out pairs, split at random" in caplog.text
    run = one_run(tmp_path / "runs")
    assert main(["validate", *args, f"--ckpt_path={run}"]).model.hparams["channels"] == (3, 3)
    count = 10 if len(folders) > 1 else 2
    assert len(main(["test", *args, f"--ckpt_path={run}"]).datamodule.test_set) == count
    main(["predict", *args, f"--ckpt_path={run}", f"--output={tmp_path / 'out'}"])
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    assert len(rows) == count
    with Image.open(tmp_path / "out" / rows[0]["image"]) as made:
        assert (made.mode, made.size) == ("RGB", (16, 16))
    results = list(load(run).predict(tmp_path / "set"))
    assert (results[0].name, results[0].image.mode) == ("0.png", "RGB")
    with pytest.raises(DataError, match="only models of two gray templates can be exported"):
        export.export(run, "onnx", tmp_path / "model")


@pytest.mark.parametrize("config", ["blots", "blots_style"])
def test_a_training_step_at_512_px(tmp_path, config):
    tiny_data.write_blots(tmp_path / "set")
    options = [f"--data.data_dir={tmp_path / 'set'}", "--data.size=512", "--trainer.max_steps=2"]
    cli = main(["fit", *config_args(config, tmp_path / "runs", *options)])
    assert cli.trainer.global_step == 2
    assert cli.datamodule.train_set[0]["image"].shape == (2, 512, 512)
