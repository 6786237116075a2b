import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from commandline import verbs
from common.errors import DataError
from datamodules.blot_files import find_pairs
from datamodules.blot_style import NAMES
from inference import export, infer_onnx, load
from inference.blots import BlotModel
from inference.loading import ExportedModel
from inference.model_card import model_card

# Where importing torch fails, as it does for the users of an exported model.
WITHOUT_TORCH = """
import runpy, sys
for name in ("torch", "torchvision", "datamodules", "inference"):
    sys.modules[name] = None
script, *sys.argv[1:] = sys.argv[1:]
sys.path[0] = script.rpartition("/")[0]
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture
def exported(trained, tmp_path_factory):
    """The export folder of a config's small run."""

    def of(config, kind="onnx"):
        key = config, kind
        if key not in _EXPORTS:
            output = tmp_path_factory.mktemp(f"{config}-{kind}")
            checkpoint = trained(config) / "checkpoints" / "last.ckpt"
            _EXPORTS[key] = export.export(checkpoint, kind, output)
        return _EXPORTS[key]

    return of


_EXPORTS: dict[tuple[str, str], Path] = {}


def run_alone(folder, output, *images, **environment):
    """``infer_onnx.py`` of an export folder in a process that has no torch."""
    command = [sys.executable, "-c", WITHOUT_TORCH, folder / "infer_onnx.py", *images]
    return subprocess.run(
        [*map(str, command), f"--output={output}"],
        capture_output=True,
        text=True,
        cwd=output.parent,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment,
    )


def same_pixels(folder, other, limit, share=0.02):
    """Whether both hold the same images: at most ``share`` of an image is off, by ``limit``."""
    names = sorted(path.name for path in folder.glob("*.png"))
    assert names == sorted(path.name for path in other.glob("*.png"))
    for name in names:
        with Image.open(folder / name) as a, Image.open(other / name) as b:
            assert a.mode == b.mode
            difference = np.abs(np.array(a).astype(int) - np.array(b).astype(int))
        assert np.quantile(difference, 1 - share) <= limit, name
    return names


@pytest.mark.parametrize(
    ("config", "limit"),
    [("aoi", 0), ("vessels_best", 66), ("retina_best", 2), ("blots", 0)],
)
def test_runner_without_torch_writes_what_predict_writes(
    config, limit, exported, trained, predict, few, tmp_path
):
    run, folder = trained(config), exported(config)
    first = load(run).examples(1)[0]
    if config in ("aoi", "vessels_best"):
        images = few(first.parent, small=config == "aoi")
    else:
        images = (first[0].parent.parent if config == "blots" else first.parent).resolve()
    written = predict(run, f"--data.predict_dir={images}", "--trainer.precision=32-true")
    for traced in written.glob("*_traced.png"):  # the runner measures nothing
        traced.unlink()
    done = run_alone(folder, tmp_path / "alone", images)
    assert done.returncode == 0, done.stderr
    for table in tmp_path.glob("alone/*.csv"):
        ours, theirs = (p.read_text().split("\n") for p in (table, written / table.name))
        assert len(ours) == len(theirs)
        # Sorted: review.csv goes by confidence, whose last digits may differ.
        rows = [sorted(row.split(",")[:2] for row in lines) for lines in (ours, theirs)]
        assert rows[0] == rows[1]
    assert len(list(tmp_path.glob("alone/*.csv"))) == len(list(written.glob("[!v]*.csv")))
    if config == "aoi":
        read = {"delimiter": ",", "skiprows": 1, "usecols": range(2, 10)}
        found, expected = (
            np.loadtxt(f / "probabilities.csv", **read) for f in (tmp_path / "alone", written)
        )
        differences = np.abs(found - expected).max(axis=0)
        assert differences[1] < 0.04, "unknown: a rank among 84 validation images"
        assert np.delete(differences, 1).max() < 0.01
    same_pixels(tmp_path / "alone", written, limit)


def test_runner_passes_over_and_names_what_predict_does(exported, trained, predict, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 40, 30), dtype=np.uint8)
    names = ["b.JPG", "\u00e9t\u00e9.jpeg", "=1+1.png", "b.png", "z.bmp", "a.ppm", ".hidden.png"]
    for name, image in zip(names, pixels, strict=False):
        Image.fromarray(image).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / "below").mkdir()
    written = predict(trained("aoi"), f"--data.predict_dir={folder}", "--trainer.precision=32-true")
    done = run_alone(exported("aoi"), tmp_path / "alone", folder, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "2 passed over" in done.stderr
    tables = [path / "predictions.csv" for path in (written, tmp_path / "alone")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_runner_pairs_templates_by_name_as_predict(tmp_path):
    card = {"templates": ["one/t1-", "two/t2-"]}
    for folder, prefix, endings in (("one", "t1-", "png bmp jpg"), ("two", "t2-", "tif png webp")):
        (tmp_path / folder).mkdir()
        for stem, ending in zip(("10", "9", "\u00e9"), endings.split(), strict=True):
            Image.new("L", (8, 8)).save(tmp_path / folder / f"{prefix}{stem}.{ending}")
    found = find_pairs(tmp_path, card["templates"], None)
    expected = [tuple(template.path for template in pair.templates) for pair in found]
    assert infer_onnx.inputs([tmp_path], card) == expected
    Image.new("L", (8, 8)).save(tmp_path / "two" / "t2-more.png")
    for pairs in (infer_onnx.inputs, lambda *_: find_pairs(tmp_path, card["templates"], None)):
        line = r"t2-more\.png: has no partner|missing, first t1-more"
        with pytest.raises((ValueError, DataError), match=line):
            pairs([tmp_path], card)


def test_files_that_would_take_each_others_place_are_refused(tmp_path):
    for name in ("a.png", "a.jpg"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png: the same name"):
        infer_onnx.inputs([tmp_path], {})
    assert len(infer_onnx.inputs([tmp_path], {"class_names": ["x"]})) == 2


CARD = {
    "task": "vessels",
    "mode": "RGB",
    "inputs": {"pixels": "uint8 (N, H, W, 3)", "fov": "bool (N, H, W)"},
    "outputs": ["probability"],
    "threshold": 0.5,
    "size": None,
    "diameter": 540,
    "tables": {"predictions": ["ID", "mask", "probability", "vessel_fraction"]},
}


@pytest.mark.parametrize(
    "changes",
    [
        *({key: None} for key in ("task", "mode", "inputs", "outputs", "tables")),
        *({"tables": x} for x in ({"../../ran": [], "predictions": []}, {"predictions": 1}, [])),
        *({"threshold": x} for x in ("0.5", float("nan"))),
        *({"size": 10**9}, {"diameter": True}, {"mode": "CMYK"}, {"inputs": {"pixels": ""}}),
        {"outputs": ["probability", "../x"]},
    ],
    ids=str,
)
def test_card_is_checked_before_use(changes):
    infer_onnx.check(CARD, ["pixels", "fov"], ["probability"])
    with pytest.raises(ValueError, match="the model card is not"):
        infer_onnx.check(CARD | changes, ["pixels", "fov"], ["probability"])
    with pytest.raises(ValueError, match="the model card is not"):
        infer_onnx.check([], ["pixels"], ["image"])


def test_bad_file_is_one_line_and_the_others_are_predicted(exported, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    Image.new("LAB", (40, 30), (90, 90, 90)).save(tmp_path / "colors.tif")
    Image.new("RGBA", (40, 30), (90, 90, 90, 9)).save(tmp_path / "glass.png")
    gray, exif = np.tile(np.arange(40, dtype=np.uint16), (30, 1)) * 1600, Image.Exif()
    Image.fromarray(gray).save(tmp_path / "deep.tif")
    exif[0x0112] = 6
    Image.fromarray(gray >> 8).convert("L").save(tmp_path / "turned.png", exif=exif)
    files = [tmp_path / name for name in ("bad.png", "colors.tif", "glass.png")]
    read = [tmp_path / name for name in ("deep.tif", "turned.png")]
    done = run_alone(exported("aoi"), tmp_path / "out", *files, *read)
    assert done.returncode == 1
    lines = done.stderr.strip().split("\n")
    assert [line.partition(":")[0] for line in lines] == [str(file) for file in files]
    rows = (tmp_path / "out" / "probabilities.csv").read_text().split()[1:]
    model = load(exported("aoi") / "model.onnx")
    for row, file in zip(rows, read, strict=True):
        name, label, probability, *_ = row.split(",")
        result = model.predict(file)
        assert (name, label) == (file.name, result.label)
        assert float(probability) == pytest.approx(result.probabilities[label], abs=1e-5)


@pytest.mark.parametrize("config", ["aoi", "vessels_best", "retina_best", "blots"])
def test_loads_and_predicts_as_the_checkpoint(config, exported, trained):
    checkpoint = trained(config) / "checkpoints" / "last.ckpt"
    model = load(checkpoint, device="cpu", precision="32-true")
    images = model.examples(2)
    exported_model = load(exported(config) / "model.onnx")
    pairs = list(zip(model.predict(images), exported_model.predict(images), strict=True))
    assert len(pairs) == 2
    for expected, found in pairs:
        assert isinstance(found, type(expected))
        assert found.name == expected.name
        assert found.show().size == expected.show().size
    assert_same(pairs)
    if config == "aoi":
        assert pairs[0][1].heatmap == pytest.approx(pairs[0][0].heatmap, abs=0.05)
    if config == "retina_best":
        assert pairs[0][1].psnr == pytest.approx(pairs[0][0].psnr, abs=0.05)
        assert pairs[0][1].ssim == pytest.approx(pairs[0][0].ssim, abs=0.005)


def assert_same(pairs):
    differences = export.compare(*zip(*pairs, strict=True))
    assert all(value <= export.TOLERANCES[name] for name, value in differences.items())


def untraced(model):
    """What an export of the model predicts, without the minute of tracing."""
    inputs = model.graph_inputs()

    def run(feeds):
        assert list(feeds) == list(inputs)
        with torch.inference_mode():
            return [y.numpy() for y in model(*map(torch.from_numpy, feeds.values())).values()]

    names = {"inputs": dict.fromkeys(inputs), "outputs": [*model(*inputs.values())]}
    return ExportedModel(run, model_card(model) | names, Path("model.onnx"))


def test_each_image_has_its_best_scale_in_the_graph(trained):
    model = load(trained("vessels_best"), device="cpu", precision="32-true")
    model.inference = replace(model.inference, scales=(1.0, 0.8, 0.65), tta=8)
    exported = untraced(model)
    images = model.examples(2)
    pairs = list(zip(model.predict(images), exported.predict(images), strict=True))
    assert_same(pairs)


@pytest.mark.parametrize("sides", [(45, 70), (16, 16)])
def test_styled_blots_of_the_runner_are_those_of_the_checkpoint(sides, trained):
    model = load(trained("blots_style"), device="cpu", precision="32-true")
    rng = np.random.default_rng(0)
    templates = tuple(rng.integers(0, 256, sides, dtype=np.uint8) for _ in range(2))
    found = untraced(model).predict(*templates)
    expected = model.predict(*templates)
    assert found.style == expected.style
    assert found.style.keys() == set(NAMES)
    assert np.array_equal(np.array(found.image), np.array(expected.image))
    assert found.image.size == sides[::-1]
    with pytest.raises(DataError, match="give templates of one size"):
        untraced(model).predict(templates[0], templates[1][1:])


def test_card_says_what_the_model_is(exported):
    folder = exported("aoi")
    card = json.loads((folder / "model.json").read_text())
    assert card["task"] == "aoi"
    assert card["sample"] is True
    assert len(card["class_names"]) == 6
    assert card["inputs"] == {"pixels": "uint8 (N, H, W)"}
    assert card["files"]["model.onnx"] == export.sha256(folder / "model.onnx")
    assert card["parity"]["largest difference in probability"] < 0.01
    inside = load(folder / "model.onnx").card()
    assert inside.items() <= card.items()
    names = "image_reader.py infer_onnx.py model.json model.onnx"
    assert " ".join(sorted(path.name for path in folder.iterdir())) == names


def otherwise(model, pixels):
    return {"image": 255 - FORWARD(model, pixels)["image"]}


def fails(path):
    def run(feeds):
        raise RuntimeError("an assertion\nof many lines")

    return run, SESSION(path)[1]


def full(file):
    raise OSError(errno.ENOSPC, "No space left on device")


FORWARD, SESSION = BlotModel.forward, infer_onnx.session


@pytest.mark.parametrize(
    ("part", "instead", "message"),
    [
        ("inference.blots.BlotModel.forward", otherwise, "out: not exported, .* more than is"),
        ("inference.loading.session", fails, r"does not run \(RuntimeError: an assertion\)$"),
        ("inference.export.sha256", full, r"out: cannot be written \(No space left on device\)"),
    ],
)
def test_what_differs_or_does_not_run_leaves_nothing(
    part, instead, message, trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(part, instead)
    with pytest.raises(DataError, match=message):
        export.export(trained("blots"), "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_missing_package_is_one_line(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"^{package} is missing; pip install -e '.\[export\]'$"):
        export.export(tmp_path)


def test_best_needs_to_know_of_which_run():
    with pytest.raises(DataError, match="best: give its --config, or a run folder"):
        verbs.main(["export", "--ckpt_path=best"])


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_other_files_are_one_line(content, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(DataError, match="no such file"):
        load(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be loaded") as error:
        load(path)
    assert "\n" not in str(error.value)
