"""Small files that would take Pillow hours or gigabytes are refused before they are decoded."""

import struct

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from datamodules.images import read_image

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


def jpeg_of_scans(path, count):
    Image.new("L", (64, 64)).save(path, progressive=True)
    data = path.read_bytes()
    last = data.rindex(b"\xff\xda")
    path.write_bytes(data[:last] + data[last:-2] * count + b"\xff\xd9")


def gif_of_comments(path, count):
    Image.fromarray(GRAY).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"!\xfe" + (b"\xff" + b"x" * 255) * count + b"\0;")


def jpeg_of_exif(path, count):
    Image.fromarray(GRAY).save(path)
    data = path.read_bytes()
    block = b"\xff\xe1" + struct.pack(">H", 60008) + b"Exif\0\0" + b"x" * 60000
    path.write_bytes(data[:2] + block * count + data[2:])


def tiff_of_strips(path, count):
    tags = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, count, 100)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path.write_bytes(b"II*\0\x08\0\0\0\x05\0" + entries + bytes(22 + 4 * count))


@pytest.mark.parametrize(
    ("make", "suffix", "count", "message"),
    [
        (jpeg_of_scans, "jpg", 100, "more than 32 scans in a JPEG; save it anew"),
        (gif_of_comments, "gif", 9000, "more than 2,097,152 bytes of comments in a GIF"),
        (jpeg_of_exif, "jpg", 40, "more than 2,097,152 bytes of EXIF"),
        (tiff_of_strips, "tif", 300_000, "more than 262,144 strips in a TIFF"),
    ],
)
def test_what_costs_more_than_its_size_says_is_refused(tmp_path, make, suffix, count, message):
    path = tmp_path / f"x.{suffix}"
    make(path, count)
    with pytest.raises(DataError, match=rf"x\.{suffix}: {message}"):
        read_image(path, "L")
    if suffix != "tif":
        make(path, 2)
        assert read_image(path, "L").shape[0] == 1


def test_a_large_gif_is_not_one_of_comments(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600), np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.gif")
    assert (tmp_path / "x.gif").stat().st_size > 2**21
    assert np.array_equal(read_image(tmp_path / "x.gif", "L")[0].numpy(), noise)
