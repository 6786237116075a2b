import gzip
import io
import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from common import limits
from common.errors import DataError
from common.image_reader import BadImage, to_array
from datamodules.images import list_images, read_image

KINDS = ["png", "jpg", "tif", "bmp", "gif", "webp", "avif", "ppm", "jp2"]
GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.png"


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_modes_of_the_same_gray_picture(path, mode):
    Image.fromarray(GRAY).convert(mode).save(path)
    assert torch.equal(read_image(path, "L")[0], torch.from_numpy(GRAY))
    assert read_image(path, "RGB").shape == (3, 8, 8)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(
    ("kind", "greatest", "options"),
    [
        (np.uint16, 65535, {}),
        (np.uint16, 4095, {"byteorder": ">"}),  # of 12 bits, as cameras write them
        (np.uint16, 65535, {"compression": "zlib", "rowsperstrip": 7}),
        (np.uint16, 65535, {"tile": (16, 16)}),
        (np.uint16, 255, {}),
        (np.float32, 1, {}),
        (np.float64, 1, {"compression": "zlib"}),
        (np.float32, 65535, {}),
    ],
)
def test_more_than_8_bits_are_scaled_by_their_range(tmp_path, color, kind, greatest, options):
    shape = (24, 20, 3) if color else (24, 20)
    values = np.random.default_rng(0).random(shape) * greatest
    values.flat[0] = greatest
    photometric = "rgb" if color else "minisblack"
    values = values.astype(kind)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric=photometric, **options)
    expected = torch.from_numpy(np.rint(values * (255 / greatest)).astype(np.uint8))
    if color:
        assert torch.equal(read_image(tmp_path / "x.tif", "RGB").permute(1, 2, 0), expected)
        planes = np.moveaxis(values, 2, 0)
        tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb")
        assert torch.equal(read_image(tmp_path / "planes.tif", "RGB").permute(1, 2, 0), expected)
    else:
        assert torch.equal(read_image(tmp_path / "x.tif", "L")[0], expected)


def png48(values):
    """A PNG of 16 bits in color, which Pillow cannot write, by every filter of PNG."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width, _ = values.shape
    rows = values.astype(">u2").view(np.uint8).reshape(height, -1)
    left = np.pad(rows, ((0, 0), (6, 0)))[:, :-6]
    filtered = [bytes([y % 2]) + (row - left[y] * (y % 2)).tobytes() for y, row in enumerate(rows)]
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(b"".join(filtered))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("greatest", [65535, 4095])
def test_16_bit_color_png(path, greatest):
    values = np.random.default_rng(0).integers(0, greatest + 1, (24, 20, 3))
    values.flat[0] = greatest
    path.write_bytes(png48(values.astype(np.uint16)))
    expected = np.rint(values * (255 / greatest)).astype(np.uint8)
    assert np.array_equal(read_image(path, "RGB").permute(1, 2, 0), expected)
    Image.fromarray(values[..., 0].astype(np.uint16)).save(path)
    assert np.array_equal(read_image(path, "L")[0], expected[..., 0])


@pytest.mark.parametrize("values", [-1.0, np.nan, 1e6])
def test_values_without_a_range_are_refused(tmp_path, values):
    Image.fromarray(np.full((8, 8), values, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"x\.tif: values from .*save 0 to 1"):
        read_image(tmp_path / "x.tif", "L")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tif"])
def test_exif_orientation_is_applied(tmp_path, suffix):
    values = np.zeros((16, 32), np.uint8)
    values[:8, :16] = 255
    upright, exif = Image.fromarray(values), Image.Exif()
    for turned, method in (
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (5, Image.Transpose.TRANSPOSE),
    ):
        exif[0x0112] = turned
        upright.transpose(method).save(tmp_path / f"x.{suffix}", exif=exif, quality=95)
        pixels = read_image(tmp_path / f"x.{suffix}", "L")[0].numpy()
        assert pixels.shape == values.shape
        assert np.abs(pixels.astype(int) - values).max() < 40


@pytest.mark.parametrize("mode", ["LAB", "CMYK", "HSV", "RGBA"])
def test_other_colors_and_transparency_are_refused(mode):
    image = Image.new("RGB", (8, 8)).convert(mode)
    if mode == "RGBA":
        image.putalpha(128)
    reason = "transparent pixels" if mode == "RGBA" else f"{mode} colors; save it as gray or RGB"
    with pytest.raises(BadImage, match=f"^{reason}"):
        to_array(image, "L")


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("kept", [0, 20, 0.5, 0.9])
def test_truncated_files_of_every_kind_are_one_line(tmp_path, suffix, kept):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept >= 1 else int(kept * len(content))])
    with pytest.raises(DataError, match=rf"image\.{suffix}: not a readable image") as error:
        read_image(path, "RGB")
    assert "\n" not in str(error.value)


def test_a_text_a_folder_and_a_missing_file_are_named(path):
    path.write_text("no image")
    with pytest.raises(DataError, match=r"image\.png: not a readable image"):
        read_image(path, "L")
    with pytest.raises(DataError, match=r"gone\.png: no such file"):
        read_image(path.with_name("gone.png"), "L")
    with pytest.raises(DataError, match="not a readable image"):
        read_image(path.parent, "L")


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_several_pages_or_frames_are_refused(tmp_path, suffix):
    pages = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    path = tmp_path / f"image.{suffix}"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=rf"image\.{suffix}: several pages or frames"):
        read_image(path, "L")


def test_no_image_and_no_folder_are_named(tmp_path):
    (tmp_path / "._a.png").write_text("x")
    with pytest.raises(DataError, match=r"holds no image \(\.png"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="gone: no such folder"):
        list_images(tmp_path / "gone")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"notes\.txt"):
        list_images(tmp_path / "notes.txt")


def test_the_content_decides_and_no_program_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *args, **kwargs: pytest.fail("started"))
    monkeypatch.setattr("subprocess.check_call", lambda *args, **kwargs: pytest.fail("started"))
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match=r"x\.png: not a readable image"):
        read_image(path, "L")


def test_pixels_are_counted_before_they_are_decoded(tmp_path):
    head = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    chunk = b"\0\0\0\rIHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT5\xaf\x06\x1e")
    with pytest.raises(DataError, match=r"x\.png: 10000x10000 px, more than 64,000,000; make it"):
        read_image(tmp_path / "x.png", "L")
    with (tmp_path / "y.png").open("wb") as sparse:
        sparse.truncate(10**11)
    with pytest.raises(DataError, match=r"y\.png: 100,000,000,000 bytes, more than"):
        read_image(tmp_path / "y.png", "L")


@pytest.mark.skipif(os.name == "nt", reason="has none of them")
def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        with pytest.raises(DataError, match=rf"{name}: .*not a regular file"):
            read_image(tmp_path / name, "L")


def test_what_lies_beside_images_is_passed_over_and_named(tmp_path, caplog):
    for name in ("b.PNG", "a.png", "sub/c.jfif", ".hidden/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GRAY).save(tmp_path / name)
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "notes.txt", "labels.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "linked").symlink_to(tmp_path)
    assert list_images(tmp_path / "a.png") == [tmp_path / "a.png"]
    with caplog.at_level("INFO"):
        assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.PNG"]
        names = [path.name for path in list_images(tmp_path, recursive=True)]
        list_images(tmp_path, recursive=True)
    assert names == ["a.png", "b.PNG", "c.jfif"]
    lines = [line for line in caplog.messages if "not images" in line]  # each is said once
    assert lines[0].endswith("left out: Thumbs.db, linked/, notes.txt, sub/ (4 in all)")
    assert lines[1].endswith("left out: Thumbs.db, linked/, notes.txt (3 in all)")


COLORS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


def test_gzip_holds_an_image_and_no_bomb(tmp_path, monkeypatch):
    file = io.BytesIO()
    Image.fromarray(COLORS).save(file, "PPM")
    path = tmp_path / "im0001.ppm.gz"
    path.write_bytes(gzip.compress(file.getvalue()))
    assert np.array_equal(read_image(path, "RGB").permute(1, 2, 0), COLORS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"ppm\.gz: not a readable image \(Compressed"):
        read_image(path, "RGB")
    monkeypatch.setattr(limits, "IMAGE_BYTES", 10**5)
    path.write_bytes(gzip.compress(bytes(10**6)))
    with pytest.raises(DataError, match=r"ppm\.gz: more than 100,000 bytes in gzip"):
        read_image(path, "RGB")


def write_dicom(path, values, jpeg=False, bits=8, photometric="RGB", frames=1):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.encaps import encapsulate

    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = (
        pydicom.uid.JPEGBaseline8Bit if jpeg else pydicom.uid.ExplicitVRLittleEndian
    )
    file.file_meta.MediaStorageSOPClassUID = file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    file.Rows, file.Columns = values.shape[:2]
    file.SamplesPerPixel, file.PlanarConfiguration = (3, 0) if values.ndim == 3 else (1, 0)
    file.PhotometricInterpretation, file.PixelRepresentation = photometric, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 8 * values.itemsize, bits, bits - 1
    file.NumberOfFrames = frames
    data = values.tobytes()
    if jpeg:
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "JPEG", quality=100, subsampling=0)
        data = encapsulate([buffer.getvalue()])
    file.PixelData = data
    file["PixelData"].VR = "OB" if jpeg or values.itemsize == 1 else "OW"
    file.save_as(path, enforce_file_format=True)
    return path


def test_dicom_in_color_gray_and_jpeg(tmp_path):
    color = read_image(write_dicom(tmp_path / "a.dcm", COLORS), "RGB")
    assert np.array_equal(color.permute(1, 2, 0), COLORS)
    jpeg = read_image(write_dicom(tmp_path / "b.dcm", COLORS, jpeg=True), "RGB")
    assert np.abs(jpeg.permute(1, 2, 0).int().numpy() - COLORS).mean() < 3
    gray = COLORS[..., 0].astype(np.uint16) * 16
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        path = write_dicom(tmp_path / "c.dcm", gray, bits=12, photometric=photometric)
        read = read_image(path, "L")[0].int().numpy()
        expected = (
            COLORS[..., 0] if photometric == "MONOCHROME2" else 255 - COLORS[..., 0].astype(int)
        )
        assert np.abs(read - expected).max() <= 1


def test_dicom_that_is_refused_is_named(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", COLORS, frames=2)
    with pytest.raises(DataError, match=r"a\.dcm: several pages or frames"):
        read_image(path, "RGB")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.dcm: ") as error:
        read_image(path, "RGB")
    assert "\n" not in str(error.value)
