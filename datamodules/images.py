"""Finding and reading image files, also in gzip and DICOM, with errors that name them."""

import gzip
import io
import os
import re
import struct
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors

from common import limits
from common.errors import DataError
from common.image_reader import SEVERAL_PAGES, SUFFIXES, BadImage, one_line, read, to_array

IMAGE_SUFFIXES = (*SUFFIXES, ".gz", ".dcm")
# A marker, but no byte that is stuffed into the code of the pixels, and no restart in it.
JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd8])")
SHOWN = 5  # names in the log


def list_images(folder: Path, recursive: bool = False) -> list[Path]:
    """Image files in ``folder``, sorted by path; ``folder`` may be a single image too.

    Hidden files (``.DS_Store``, ``._x.png`` ...) and tables are passed over. So are other files,
    folders that are links and, if not ``recursive``, all folders below; the log names these.

    Raises:
        DataError: no such folder, one that must not be read, no image, or a file of another kind.
    """
    if folder.is_file():
        if folder.suffix.lower() in IMAGE_SUFFIXES:
            return [folder]
        raise DataError(f"{folder}: is no image ({' '.join(IMAGE_SUFFIXES)}); give one or a folder")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files, others = list[Path](), list[str]()
    for top, folders, names in os.walk(folder, onerror=_raise):
        below = {name for name in folders if name[0] != "."}
        folders[:] = [n for n in below if recursive and not Path(top, n).is_symlink()]
        others += [f"{name}/" for name in below.difference(folders)]
        files += [Path(top, name) for name in names if name[0] != "."]
    images = sorted(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise DataError(f"{folder}: holds no image ({' '.join(IMAGE_SUFFIXES)})")
    known = (*IMAGE_SUFFIXES, ".csv", ".tsv")
    if others := sorted(others + [x.name for x in files if x.suffix.lower() not in known]):
        shown = ", ".join(others[:SHOWN])
        say(f"{folder}: not images, left out: {shown} ({len(others)} in all)")
    return images


def _raise(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed ({error.strerror})")


@cache
def say(line: str) -> None:
    """Log a line once."""
    from pytorch_lightning.utilities.rank_zero import rank_zero_info  # slow, for `inference.load`

    rank_zero_info("%s", line)


def read_image(path: Path, mode: Literal["L", "RGB"]) -> tv_tensors.Image:
    """Pixels of an image as uint8 ``(1, H, W)`` for "L" or ``(3, H, W)`` for "RGB".

    The format is told by the content; gzip is unpacked, and DICOM needs the extra ``dicom``. 16-bit
    integers and floating point are scaled, gray and color, see `to_8_bits`; EXIF orientation is
    applied.

    Raises:
        DataError: missing, no regular file, damaged, several pages or frames, transparency,
            another color space, values that have no scale, or more than `common.limits` allows.
    """
    try:
        with one_line():
            data = _read_bytes(path)
            _check_cost(data)
            dicom = data[128:132] == b"DICM"
            return to_tensor(_read_dicom(data, mode) if dicom else read(data, mode))
    except BadImage as error:
        raise DataError(f"{path}: {error}") from None


def _read_bytes(path: Path) -> bytes:
    most = limits.IMAGE_BYTES
    if not path.exists():
        raise BadImage("no such file")
    if not path.is_file():  # a pipe would be waited for, a device never ends
        raise BadImage("not a readable image (not a regular file); remove it")
    if (size := path.stat().st_size) > most:
        raise BadImage(f"{size:,} bytes, more than {most:,}; make it smaller")
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    with gzip.open(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise BadImage(f"more than {most:,} bytes in gzip; make it smaller")
    return data


def _check_cost(data: bytes) -> None:
    """Refuse a file that takes Pillow long for its size, see `common.limits`.

    Sources: the specifications of JPEG (ITU T.81, annex B), GIF 89a and TIFF 6.0.
    """
    with suppress(IndexError, struct.error):  # it ends early, as Pillow will say
        if data.startswith(b"\xff\xd8"):
            _check_jpeg(data)
        elif data.startswith(b"GIF"):
            _check_gif(data)
        elif data.startswith((b"II", b"MM")):
            _check_tiff(data)


def _check_jpeg(data: bytes) -> None:
    at, scans, exif = 0, 0, 0
    while (marker := JPEG_MARKER.search(data, at)) and marker[1] != b"\xd9":
        at = marker.end()
        length = int.from_bytes(data[at : at + 2])
        scans += marker[1] == b"\xda"
        exif += length * (data[at + 2 : at + 6] == b"Exif")
        _refuse(scans, limits.JPEG_SCANS, "scans in a JPEG")
        _refuse(exif, limits.COMMENT_BYTES, "bytes of EXIF")
        at += length


def _check_gif(data: bytes) -> None:
    at, comments = 13 + _gif_palette(data[10]), 0
    while data[at] != ord(";"):
        kind, begin = data[at], at
        if kind not in b"!,":  # which Pillow passes over
            at += 1
            continue
        at += 2 if kind == ord("!") else 11 + _gif_palette(data[at + 9])
        while data[at]:  # blocks, each after its length
            at += 1 + data[at]
        at += 1
        comments += (at - begin) * (kind == ord("!"))
        _refuse(comments, limits.COMMENT_BYTES, "bytes of comments in a GIF")


def _gif_palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _check_tiff(data: bytes) -> None:
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    at = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    tags = struct.unpack_from(order + ("Q" if big else "H"), data, at)[0]
    at += 8 if big else 2
    for _ in range(tags):
        _, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, at)
        values = 0 if kind in (1, 2, 6, 7) else count  # bytes and texts stay one string
        _refuse(values, limits.TIFF_STRIPS, "strips in a TIFF")
        at += 20 if big else 12


def _refuse(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise BadImage(f"more than {limit:,} {what}; save it anew")


def _read_dicom(data: bytes, mode: Literal["L", "RGB"]) -> np.ndarray:
    """One frame, uncompressed, JPEG or JPEG 2000; more than 8 bits are scaled by the bits used."""
    try:
        from pydicom import dcmread
        from pydicom.encaps import get_frame
    except ImportError:
        raise BadImage("a DICOM file; pip install -e '.[dicom]' to read it") from None
    file = dcmread(io.BytesIO(data))
    if int(file.get("NumberOfFrames") or 1) > 1:
        raise BadImage(SEVERAL_PAGES)
    if file.file_meta.TransferSyntaxUID.is_encapsulated:
        frame = get_frame(file.PixelData, 0, number_of_frames=1)
        _check_cost(frame)
        return read(frame, mode, ("JPEG", "JPEG2000"))
    values, most = file.pixel_array, 2**file.BitsStored - 1
    if file.PhotometricInterpretation == "MONOCHROME1":
        values = most - values
    scaled = values if most == 255 else (values * (255 / most)).round().clip(0, 255)
    return to_array(Image.fromarray(scaled.astype(np.uint8)), mode)


def to_tensor(array: np.ndarray) -> tv_tensors.Image:
    """Pixels ``(H, W)`` or ``(H, W, 3)`` as ``(1 or 3, H, W)``."""
    pixels = torch.from_numpy(array)
    return tv_tensors.Image(pixels[None] if array.ndim == 2 else pixels.permute(2, 0, 1))
