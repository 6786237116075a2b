"""Files of a compressor: read back to the pixel, or refused in one line."""

import random
import struct
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config_args
from PIL import Image

from cli import main
from common.errors import DataError
from inference import load
from inference.codec import HEADER, MAX_PIXELS, network_checksum

pytest.importorskip("constriction")


@pytest.fixture
def model(trained):
    return load(trained("retina_compress"), device="cpu")


@pytest.fixture
def native(trained):
    """The same network on photographs of their own size."""
    model = load(trained("retina_compress"), device="cpu")
    model.size = None
    return model


def photograph(height, width, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (height // 9 + 2, width // 9 + 2, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


SIZES = [(1, 1), (1, 40), (33, 2), (700, 500)]
SIZES += [(random.Random(i).randint(1, 700), random.Random(-i).randint(1, 500)) for i in (1, 2, 3)]


@pytest.mark.parametrize("size", SIZES)
def test_round_trip_of_any_size(model, native, size):
    image = photograph(*size)
    for one in (model, native):
        copy = one.decompress(one.compress(image))
        assert copy.size == image.size
        assert np.array_equal(np.array(copy), np.array(one.predict(image).reconstruction))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_file_says_in_which_precision_it_is_read(trained, precision):
    run, image = trained("retina_compress"), photograph(90, 70)
    writer = load(run, device="cpu", precision=precision)
    written = np.array(writer.predict(image).reconstruction)
    for reader in ("32-true", "bf16-mixed"):
        copy = load(run, device="cpu", precision=reader).decompress(writer.compress(image))
        assert np.array_equal(np.array(copy), written)


# Forked where it can be, which spares the imports.
START = "fork" if sys.platform == "linux" else "spawn"


def read(run, path):
    return np.array(load(run, device="cpu").decompress(path))


def test_another_process_reads_the_same(model, native, trained, tmp_path):
    image, path = photograph(201, 103), tmp_path / "image.rtc"
    path.write_bytes(native.compress(image))
    run = trained("retina_compress")
    with ProcessPoolExecutor(1, mp_context=get_context(START)) as other:
        copy = other.submit(read, run, path).result(120)
    assert np.array_equal(copy, np.array(native.predict(image).reconstruction))


def test_predict_writes_files_that_give_its_pictures(model, trained, predict, tmp_path):
    (tmp_path / "photographs").mkdir()
    photograph(80, 60).save(tmp_path / "photographs" / "a.png")
    run = trained("retina_compress")
    folder = predict(run, f"--data.predict_dir={tmp_path / 'photographs'}")
    copy = model.decompress(folder / "a.rtc")
    assert np.array_equal(np.array(copy), np.array(Image.open(folder / "a.png")))
    assert (folder / "a.rtc").read_bytes() == model.compress(tmp_path / "photographs" / "a.png")


def test_without_constriction_predict_says_so_once(trained, predict, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "constriction", None)
    folder = predict(trained("retina_compress"))
    assert list(folder.glob("*.png"))
    assert not list(folder.glob("*.rtc"))
    assert caplog.text.count("no .rtc files: constriction: not installed") == 1
    with pytest.raises(DataError, match="constriction: not installed; compression needs it"):
        load(trained("retina_compress")).compress(photograph(8, 8))


def forged(data, **fields):
    """``data`` with other header fields and a checksum that fits."""
    names = ("magic", "version", "precision", "h", "w", "nh", "nw", "network", "length", "crc")
    values = dict(zip(names, HEADER.unpack_from(data), strict=True)) | fields
    head = HEADER.pack(*values.values())[:-4]
    payload = data[HEADER.size :]
    return head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload


def test_what_is_no_file_of_this_model_is_one_line(model, tmp_path):
    good = model.compress(photograph(64, 64))
    bad = {
        "not an .rtc file": [b"", good[:20], b"PNG" + good, bytes(100)],
        "truncated or damaged": [good[:-1], good[: HEADER.size], good + b"\0", good[:40] + b"x"],
        "version 2 of the format; this code reads 1": [forged(good, version=2)],
        "made by another model": [forged(good, network=bytes(8))],
        "0x64 px; the format holds": [forged(good, w=0)],
        "px; the format holds": [forged(good, nh=2**16 - 1, nw=2**16 - 1)],
    }
    for message, files in bad.items():
        for data in files:
            with pytest.raises(DataError, match=message) as error:
                model.decompress(data)
            assert "\n" not in str(error.value)
    flipped = bytearray(good)
    for place in range(len(good)):
        flipped[place] ^= 0x10
        with pytest.raises(DataError):
            model.decompress(bytes(flipped))
        flipped[place] ^= 0x10
    with pytest.raises(DataError, match=r"gone\.rtc: cannot be read"):
        model.decompress(tmp_path / "gone.rtc")


def test_a_hostile_size_is_refused_at_once(model):
    good = model.compress(photograph(64, 64))
    side = int(MAX_PIXELS**0.5)
    start = time.monotonic()
    with pytest.raises(DataError, match="px; the format holds 1 to 33,554,432 px"):
        model.decompress(forged(good, h=side + 1, w=side + 1, nh=1, nw=1))
    assert time.monotonic() - start < 1
    # Garbage of an allowed size takes the time of a photograph of this size.
    try:
        copy = model.decompress(forged(good, h=512, w=512))
        assert copy.size == (64, 64)
    except DataError as error:
        assert "damaged" in str(error)  # noqa: PT017 (both are right)


def test_too_large_a_photograph_is_not_compressed(native, monkeypatch):
    monkeypatch.setattr("inference.codec.MAX_PIXELS", 999)
    with pytest.raises(DataError, match="the photograph: 50x20 px; the format holds 1 to 999 px"):
        native.compress(photograph(20, 50))


def test_the_checksum_is_of_the_values(model):
    network = model.network
    checksum = network_checksum(network)
    assert checksum == network_checksum(network.to(memory_format=torch.channels_last))
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-6
    assert checksum != network_checksum(network)


def test_the_command_line_names_each_file(trained, tmp_path):
    run = trained("retina_compress")
    output = tmp_path / "out"
    args = config_args("retina_compress", run.parent.parent, f"--output={output}")
    main(["predict", *args, f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"])
    pictures = {path.stem for path in output.glob("*.png")}
    assert pictures
    assert pictures == {Path(path).stem for path in output.glob("*.rtc")}
