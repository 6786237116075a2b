"""Photographs as AVIF files, and their restored copies."""

from contextlib import suppress

import numpy as np
import pytest
from conftest import config_args
from PIL import Image

from cli import main
from common.errors import DataError
from inference import load
from inference.examples import examples
from inference.export import export
from inference.loading import load_trained


def test_files_of_predict_are_restored_to_its_copies(trained, tmp_path):
    run = trained("retina_avif")
    photograph = examples(load_trained(run).trained, 1)[0]
    main(["predict", *config_args("retina_avif", run.parent.parent, f"--ckpt_path={run}",
          f"--data.predict_dir={photograph}", f"--output={tmp_path / 'out'}")])  # fmt: skip
    (written,) = tmp_path.glob("out/**/*.avif")
    model = load(run, device="cpu")
    with Image.open(written.with_suffix(".png")) as copy:
        assert np.array_equal(np.array(model.predict(photograph).reconstruction), np.array(copy))
    assert written.read_bytes() == model.compress(photograph)
    more = [f"--output={tmp_path / 'fine'}", "--model.inference.quality=90"]
    main(["predict", *config_args("retina_avif", run.parent.parent, f"--ckpt_path={run}",
          f"--data.predict_dir={photograph}", *more)])  # fmt: skip
    (fine,) = tmp_path.glob("fine/**/*.avif")
    assert fine.read_bytes() == model.compress(photograph, 90)
    restored = model.predict(written).reconstruction
    assert np.array_equal(np.array(restored), np.array(model.decompress(written)))
    assert np.array_equal(np.array(restored), np.array(model.decompress(written.read_bytes())))
    assert len(model.compress(photograph, 20)) < len(model.compress(photograph, 80))
    with pytest.raises(DataError, match="quality: 120; give 0 to 100"):
        model.compress(photograph, 120)


def test_what_is_no_avif_file_is_refused(trained, tmp_path):
    model = load(trained("retina_avif"), device="cpu")
    with pytest.raises(DataError, match=r"missing\.avif: no such file"):
        model.decompress(tmp_path / "missing.avif")
    with pytest.raises(DataError, match="the compressed file: not a readable image"):
        model.decompress(b"nothing")
    clear, image = Image.new("RGBA", (8, 8)), Image.new("RGB", (8, 8))
    clear.save(tmp_path / "clear.avif")
    image.save(
        tmp_path / "two.avif", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")]
    )
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "other.avif", "PNG")
    reasons = {"clear": "transparent pixels", "two": "several pages", "other": "not a readable"}
    for name, reason in reasons.items():
        with pytest.raises(DataError, match=rf"{name}\.avif: {reason}"):
            model.decompress(tmp_path / f"{name}.avif")
    data = model.compress(Image.new("RGB", (64, 64), "red"))
    damaged = np.frombuffer(data, np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(60):
        changed = np.where(rng.random(len(damaged)) < 0.02, rng.integers(256), damaged)
        with suppress(DataError):
            model.decompress(changed.astype(np.uint8).tobytes())


def test_the_exported_graph_restores_what_files_hold(trained, tmp_path):
    run = trained("retina_avif")
    file = tmp_path / "photograph.avif"
    model = load(run, device="cpu", precision="32-true")
    file.write_bytes(model.compress(examples(load_trained(run).trained, 1)[0]))
    export(run, "onnx", tmp_path / "export")
    found = load(tmp_path / "export" / "model.onnx").predict(file)
    ours, theirs = (
        np.asarray(copy, int) for copy in (model.decompress(file), found.reconstruction)
    )
    assert np.abs(ours - theirs).max() <= 1
