"""OpenVINO models, in float32 and with 8 bits."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("openvino")
pytest.importorskip("nncf")

from common.errors import DataError, UsageError
from inference import export, load, openvino_export


@pytest.mark.parametrize(
    ("config", "int8"), [("aoi", True), ("vessels_best", False), ("retina_best", False)]
)
def test_predicts_as_the_checkpoint(config, int8, trained, tmp_path, capsys):
    run = trained(config)
    folder = export.export(run, "openvino", tmp_path / "out", int8)
    model, exported = load(run, device="cpu", precision="32-true"), load(folder / "model.xml")
    images = model.examples(4)
    pairs = zip(model.predict(images), exported.predict(images), strict=True)
    differences = export.compare(*zip(*pairs, strict=True))
    limits = {"largest difference in probability": 0.1} if int8 else export.TOLERANCES
    assert all(value <= limits[name] for name, value in differences.items())
    card = json.loads((folder / "model.xml.json").read_text())
    assert {*card["files"]} == {"model.xml", "model.bin"}
    assert card["precision"] == ("int8" if int8 else "float32")
    assert ("with 8 bits" in capsys.readouterr().out) == int8
    command = [sys.executable, folder / "infer_openvino.py", images[0], "--output", tmp_path / "x"]
    subprocess.run(list(map(str, command)), check=True, timeout=120)
    table = (tmp_path / "x" / "predictions.csv").read_text()
    assert table.splitlines()[1].startswith(f"{images[0].name},")


def test_worse_accuracy_is_refused(trained, tmp_path, monkeypatch):
    scored = []

    def score(images, index, result):
        scored.append(float(len(scored) < len(images.paths)))  # only the first model is right
        return scored[-1]

    monkeypatch.setattr(openvino_export.ValidationImages, "_score", score)
    with pytest.raises(
        DataError, match=r"with 8 bits 0\.0000: .*export it without --int8"
    ) as error:
        export.export(trained("aoi"), "openvino", tmp_path / "out", int8=True)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("config", "best"), [("vessels_best", 1), ("retina_best", 60)])
def test_validation_images_of_each_task(config, best, trained):
    model = load(trained(config), device="cpu", precision="32-true")
    images = openvino_export.ValidationImages(model.trained)
    line = images.check(model, model)
    assert line.startswith(f"score on {len(images.paths)} validation images ")
    score, same = float(line.split()[5]), float(line.split()[-1])
    assert 0 < score == same < best


def test_settings_of_a_stranger_are_one_line(trained):
    checkpoint = load(trained("vessels_best"), device="cpu").trained
    checkpoint.data["inputs"] = {"size": 64, "widths": 3}
    with pytest.raises(DataError, match=r"its settings cannot be \(") as error:
        openvino_export.ValidationImages(checkpoint)
    assert "\n" not in str(error.value)


def test_where_8_bits_cannot_be(trained, tmp_path):
    with pytest.raises(UsageError, match="--int8: not of --format onnx"):
        export.export(trained("aoi"), "onnx", tmp_path / "out", int8=True)
    with pytest.raises(DataError, match="--int8: a BlotGAN has no score to check"):
        export.export(trained("blots"), "openvino", tmp_path / "out", int8=True)


def test_other_files_are_one_line(tmp_path):
    (tmp_path / "model.xml").write_text("<net/>")
    with pytest.raises(DataError, match=r"model\.xml: cannot be loaded") as error:
        load(tmp_path / "model.xml")
    assert "\n" not in str(error.value)
