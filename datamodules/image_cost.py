"""Image files that take Pillow long for their size, told by their blocks before decoding.

Sources: the specifications of JPEG (ITU T.81, annex B), GIF 89a and TIFF 6.0.
"""

import re
import struct
from contextlib import suppress

from common import limits
from common.image_reader import BadImage

# A marker, but no byte that is stuffed into the code of the pixels, and no restart in it.
JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd8])")
TIFF_BYTES = (1, 2, 6, 7)  # types of values that stay one string


def check_cost(data: bytes) -> None:
    """Refuse a file beyond what `common.limits` allows to its format.

    Raises:
        BadImage: too many scans, bytes of comments, or strips.
    """
    checks = {b"\xff\xd8": _check_jpeg, b"GI": _check_gif, b"II": _check_tiff, b"MM": _check_tiff}
    with suppress(IndexError, struct.error):  # it ends early, as Pillow will say
        if check := checks.get(data[:2]):
            check(data)


def _check_jpeg(data: bytes) -> None:
    at, scans, exif = 0, 0, 0
    while (marker := JPEG_MARKER.search(data, at)) and marker[1] != b"\xd9":
        at = marker.end()
        scans += marker[1] == b"\xda"
        _refuse(scans, limits.JPEG_SCANS, "scans in a JPEG")
        length = int.from_bytes(data[at : at + 2])
        exif += length * (data[at + 2 : at + 6] == b"Exif")
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
        _refuse(0 if kind in TIFF_BYTES else count, limits.TIFF_STRIPS, "strips in a TIFF")
        at += 20 if big else 12


def _refuse(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise BadImage(f"more than {limit:,} {what}; save it anew")
