"""Photographs as ``.rtc`` files, by a trained compressor.

A file is a header of 30 bytes, little-endian, and what `LatentCoder` makes of the integers:

======  ==  ==============================================================
offset      content
======  ==  ==============================================================
0       4   ``RTC\\n``
4       1   version, 1
5       1   precision of the network when it decodes: 0 float32, 1 bfloat16
6       2   height of the network's input in px
8       2   its width
10      2   height of the photograph in px, to which the copy is resized
12      2   its width
14      8   checksum of the network, see `network_checksum`
22      4   length of the payload
26      4   CRC-32 of the header before it and the payload
30          payload
======  ==  ==============================================================

What is guaranteed: the integers are the encoder's, on any machine, for decoding them is exact
arithmetic. The pixels are made from them by the network, in floating point: on the same kind of
device, with the same versions of torch and the same number of threads, they are those that the
encoder's side saw, bit for bit; elsewhere a sum may be rounded otherwise, which can move a pixel by
one of its 256 steps.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import DataError
from inference.latent_coder import LatentCoder
from lit_models.networks.compressor import Compressor

MAGIC, VERSION = b"RTC\n", 1
HEADER = struct.Struct("<4sBBHHHH8sII")
PRECISIONS = ("32-true", "bf16-mixed")
# A file of a few bytes could else ask for any amount of memory: 2**25 px take 3 GiB.
MAX_PIXELS = 2**25


@dataclass(frozen=True)
class Compressed:
    """What an ``.rtc`` file holds.

    Attributes:
        latent: integers int32 ``(C, h, w)``, from -128 to 127.
        input_size: ``(H, W)`` of the network's input.
        native_size: ``(H, W)`` of the photograph.
        precision: "32-true" or "bf16-mixed", in which the network made its copy.
    """

    latent: Tensor
    input_size: tuple[int, int]
    native_size: tuple[int, int]
    precision: str


class Codec:
    """Integers of a `Compressor` to files and back.

    Args:
        network: the compressor, trained.

    Raises:
        DataError: the package constriction is missing.
    """

    def __init__(self, network: Compressor) -> None:
        self.network = network
        self.coder = LatentCoder(network.prior, network.latent_std)
        self.checksum = network_checksum(network)

    def encode(self, content: Compressed) -> bytes:
        """The file.

        Raises:
            DataError: the image is too large for the format.
        """
        sizes = (*content.input_size, *content.native_size)
        _check_sizes(sizes, "the photograph")
        payload = self.coder.encode(content.latent.cpu().numpy())
        precision = PRECISIONS.index(content.precision)
        fields = (MAGIC, VERSION, precision, *sizes, self.checksum, len(payload))
        head = HEADER.pack(*fields, 0)[:-4]
        return head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) + payload

    def decode(self, data: bytes, name: str = "the compressed file") -> Compressed:
        """What `encode` was given.

        Args:
            data: the file.
            name: for messages.

        Raises:
            DataError: no ``.rtc`` file, truncated or damaged, of another version or another model,
                or more than `MAX_PIXELS`.
        """
        if len(data) < HEADER.size or not data.startswith(MAGIC):
            raise DataError(
                f"{name}: not an .rtc file; give one that `compress` or `predict` wrote"
            )
        _, version, precision, *sizes, checksum, length, crc = HEADER.unpack_from(data)
        if version != VERSION or precision >= len(PRECISIONS):
            raise DataError(f"{name}: version {version} of the format; this code reads {VERSION}")
        payload = data[HEADER.size :]
        if len(payload) != length or crc != zlib.crc32(
            payload, zlib.crc32(data[: HEADER.size - 4])
        ):
            raise DataError(f"{name}: truncated or damaged; get the file again")
        if checksum != self.checksum:
            raise DataError(f"{name}: made by another model; load the checkpoint that it is from")
        _check_sizes(sizes, name)
        height, width, native_height, native_width = sizes
        _, rows, columns = self.network.latent_shape(height, width)
        try:
            latent = self.coder.decode(payload, rows, columns)
        except ValueError as error:
            raise DataError(f"{name}: damaged ({error}); get the file again") from None
        return Compressed(
            torch.from_numpy(np.ascontiguousarray(latent)),
            (height, width),
            (native_height, native_width),
            PRECISIONS[precision],
        )


def network_checksum(network: nn.Module) -> bytes:
    """8 bytes of SHA-256 over names, shapes and values of the weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:8]


def _check_sizes(sizes: tuple[int, ...] | list[int], name: str) -> None:
    for height, width in (sizes[:2], sizes[2:]):
        if not (0 < height < 2**16 and 0 < width < 2**16 and height * width <= MAX_PIXELS):
            raise DataError(
                f"{name}: {width}x{height} px; the format holds 1 to {MAX_PIXELS:,} px, at most "
                "65535 a side"
            )
