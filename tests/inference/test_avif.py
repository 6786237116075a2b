"""Photographs as AVIF files, and their restored copies."""

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
    with pytest.raises(DataError, match=r"missing\.avif: cannot be read"):
        model.decompress(tmp_path / "missing.avif")
    with pytest.raises(
        DataError, match=r"the compressed file: .*give a file that `compress` wrote"
    ):
        model.decompress(b"nothing")


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
