"""Data as people have them train, validate, test and predict with one option."""

import csv
import gzip
import io

import numpy as np
import pytest
from conftest import aoi_args, config_args, one_run, read_table
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


def through_every_verb(config, data, root, *more, figures=False):
    """Train on ``data``, then use the run: its folder, arguments, validation, test and table."""
    options = [f"--data.data_dir={data}", "--run.wandb=disabled", *more]
    args = config_args(config, root / "runs", *options, figures=figures)
    main(["fit", *args, "--trainer.max_epochs=1"])
    run = one_run(root / "runs")
    args.append(f"--ckpt_path={run}")
    validated, tested = (main([verb, *args]) for verb in ("validate", "test"))
    table = predicted(args, root / "out")
    assert len(table) == len(tested.datamodule.test_set)
    return run, args, validated, table


def predicted(args, output, *more):
    main(["predict", *args, f"--output={output}", *more])
    return read_table(output / "predictions.csv")


@pytest.mark.parametrize(
    ("write", "splits", "understood"),
    [
        (draw_classes, ("train", "test"), "folder per class in train/, test/, color; 9 training"),
        (draw_classes, ("", "test"), "one folder per class in test/, color; 9 training"),
        (write_table, ("train", "val", "test"), "labels.csv with its splits, color; 12 training"),
    ],
)
def test_classes_train_test_and_predict(tmp_path, caplog, write, splits, understood):
    data = write(tmp_path / "set", *splits)
    run, _, cli, table = through_every_verb("aoi", data, tmp_path, "--data.resize=crop")
    assert understood in caplog.text
    assert cli.model.hparams["class_names"] == ["blue", "red", "type 3"]
    assert "is the checkpoint's" not in caplog.text.replace("data.resize is", "")
    assert len(table) == 12
    rows = read_table(tmp_path / "out" / "probabilities.csv")
    assert list(rows[0])[-3:] == ["blue", "red", "type 3"]
    result = load(run).predict(data / rows[0]["ID"])
    assert result.label == rows[0]["label"]
    assert result.confidence == pytest.approx(float(rows[0]["confidence"]), abs=1e-3)
    assert result.heatmap.shape == (24, 40)
    assert not result.heatmap[:, :8].any()  # cut off by "crop"


def test_a_model_of_other_classes_is_refused_by_name(tmp_path):
    args = ["--trainer.max_epochs=1", "--run.wandb=disabled"]
    main(["fit", *aoi_args(draw_classes(tmp_path / "set"), tmp_path / "runs", *args)])
    run = one_run(tmp_path / "runs")
    (tmp_path / "set" / "blue").rename(tmp_path / "set" / "green")
    args = aoi_args(tmp_path / "set", tmp_path / "runs", f"--ckpt_path={run}")
    for verb, more in (("validate", []), ("fit", ["--trainer.max_epochs=2"])):
        with pytest.raises(DataError, match=r"label 'green' of .* \(blue, red, type 3\)"):
            main([verb, *args, *more])


def write_set(root, names, numbers=range(1, 8)):
    for number in numbers:
        for name, draw in zip(names, (tiny_data.photograph, tiny_data.vessels), strict=False):
            path = root / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(draw(number))
            if path.suffix == ".gz":
                image.save(buffer := io.BytesIO(), "PPM")
                path.write_bytes(gzip.compress(buffer.getvalue()))
            else:
                image.save(path)
    return root


@pytest.mark.parametrize(
    ("config", "names", "understood"),
    [
        ("vessels", ("Image_0{}L.jpg", "Image_0{}L_1stHO.png"), "(vessels); no given split"),
        ("vessels", ("im000{}.ppm.gz", "im000{}.ah.ppm.gz"), "2 training, 4 validation and 1 test"),
        ("retina", ("a/{}.jp2",), "photographs in folders below; no given split; 2 training"),
    ],
)
def test_photographs_train_test_and_predict(tmp_path, caplog, config, names, understood):
    data = write_set(tmp_path / "set", names)
    figures = config == "vessels"
    _, args, cli, table = through_every_verb(config, data, tmp_path, figures=figures)
    assert understood in caplog.text
    assert (len(cli.datamodule.val_set), len(table)) == (4, 1)
    other = write_set(tmp_path / "other", ("images/{}.png", "labels/{}.png"))
    assert len(main(["test", *args, f"--data.test_dir={other}"]).datamodule.test_set) == 7
    folder = data / "a" if config == "retina" else data
    assert len(predicted(args, tmp_path / "all", f"--data.predict_dir={folder}")) == 7
    assert ("7 drawings left out" in caplog.text) == (config == "vessels")


@pytest.mark.parametrize(
    ("folders", "width"), [(("",), 32), (("trainA", "trainB", "testA", "testB"), 16)]
)
def test_pairs_train_test_and_predict(tmp_path, caplog, folders, width):
    data, rng = tmp_path / "set", np.random.default_rng(0)
    for folder in folders:
        (data / folder).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (16, width, 3), np.uint8)
            Image.fromarray(pixels).save(data / folder / f"{number}.png")
    run, _, cli, table = through_every_verb("blots", data, tmp_path, figures=True)
    assert "8 training and 2 held-out pairs, split at random" in caplog.text
    assert cli.model.hparams["channels"] == (3, 3)
    assert len(table) == (10 if len(folders) > 1 else 2)
    with Image.open(tmp_path / "out" / table[0]["image"]) as made:
        assert (made.mode, made.size) == ("RGB", (16, 16))
    results = list(load(run).predict(data))
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
