"""Images inside other files: gzip, as STARE is downloaded, and DICOM (extra ``dicom``)."""

import gzip
import io
import zlib
from typing import Literal

import numpy as np
from PIL import Image

from common import limits
from common.image_pixels import SEVERAL_PAGES, SUFFIXES, BadImage, one_line, read, to_array

IMAGE_SUFFIXES = (*SUFFIXES, ".gz", ".dcm")
DEFLATED = b"1.2.840.10008.1.2.1.99"  # a transfer syntax that grows without a limit when read


def unzip(data: bytes) -> bytes:
    """What a gzip file holds, up to `limits.IMAGE_BYTES`.

    Raises:
        BadImage: it holds more, or is damaged.
    """
    try:
        held = gzip.GzipFile(fileobj=io.BytesIO(data)).read(limits.IMAGE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadImage(f"not a readable gzip file ({error}); replace it") from None
    if len(held) > limits.IMAGE_BYTES:
        raise BadImage(f"more than {limits.IMAGE_BYTES:,} bytes in gzip; make it smaller")
    return held


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are a DICOM file's."""
    return data[128:132] == b"DICM"


def read_dicom(data: bytes, mode: Literal["L", "RGB"], most_pixels: int) -> np.ndarray:
    """Pixels of a DICOM file with one frame, as `common.image_pixels.read` gives them.

    Uncompressed, JPEG or JPEG 2000; more than 8 bits are scaled by the bits that are stored.

    Raises:
        BadImage: pydicom is missing, several frames, too many pixels, another compression, damage.
    """
    try:
        from pydicom import dcmread
        from pydicom.encaps import get_frame
    except ImportError:
        raise BadImage("a DICOM file; pip install -e '.[dicom]' to read it") from None
    if DEFLATED in data[:2048]:
        raise BadImage("deflated DICOM; save it uncompressed or as JPEG")
    with one_line():
        file = dcmread(io.BytesIO(data))
        if int(file.get("NumberOfFrames") or 1) > 1:
            raise BadImage(SEVERAL_PAGES)
        if file.Columns * file.Rows > most_pixels:
            size = f"{file.Columns}x{file.Rows} px"
            raise BadImage(f"{size}, more than {most_pixels:,}; make it smaller")
        if file.file_meta.TransferSyntaxUID.is_encapsulated:
            frame = get_frame(file.PixelData, 0, number_of_frames=1)
            return read(frame, mode, ("JPEG", "JPEG2000"), most_pixels)
        values, most = file.pixel_array, 2**file.BitsStored - 1
        if file.PhotometricInterpretation == "MONOCHROME1":
            values = most - values
        scaled = values if most == 255 else (values * (255 / most)).round().clip(0, 255)
        return to_array(Image.fromarray(scaled.astype(np.uint8)), mode)
