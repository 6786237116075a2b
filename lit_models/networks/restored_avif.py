"""AVIF files, and a network that restores what they lost."""

import io
from collections.abc import Sequence

import torch
from jsonargparse.typing import PositiveInt
from PIL import Image
from torch import Tensor, nn

from common import limits
from common.errors import DataError
from common.ranges import AVIFQuality
from datamodules.images import decode_image
from datamodules.preprocessing import photograph_input
from lit_models.networks.unet import EncoderDecoder
from lit_models.postprocessing.avif import AVIFInference
from lit_models.postprocessing.pixels import to_uint8_image, to_unit

MODE = "4:4:4"  # full-size color: half-size costs a fundus photograph 0.5 to 2 dB at equal bytes


class RestoredAVIF(nn.Module):
    """Copies of photographs through an AVIF file, to which a convolutional network adds.

    The file is a plain one that any program opens; only who decodes with the network gains. Nothing
    of the encoder is learned, so one network serves every quality: in training each image gets one
    at random. At the start the copy is the file's own.

    Source: the restoration of decoded pictures by a residual network, Zhang et al. 2017 (DnCNN,
    arXiv 1608.03981), who train one network for many JPEG qualities.

    Args:
        widths: of the encoder-decoder, see `EncoderDecoder`; without normalization.
        train_qualities: least and greatest quality in training.

    Attributes:
        quality: of the files outside of training, see `AVIFInference`.

    Raises:
        DataError: the least quality is above the greatest.
    """

    def __init__(
        self,
        widths: Sequence[PositiveInt] = (16, 32, 64, 128),
        train_qualities: tuple[AVIFQuality, AVIFQuality] = (10, 95),
    ) -> None:
        super().__init__()
        low, high = train_qualities
        if low > high:
            raise DataError(
                f"model.network.train_qualities: {[low, high]}; give the smaller number first"
            )
        self.quality, self.train_qualities = AVIFInference().quality, (low, high)
        self.network = EncoderDecoder(3, 3, widths, norm="none")
        nn.init.zeros_(self.network.out.weight)
        nn.init.zeros_(self.network.out.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Copies of images ``(N, 3, H, W)`` in [-1, 1], not clamped."""
        return self.reconstruct(images)[0]

    def reconstruct(self, images: Tensor) -> tuple[Tensor, list[bytes]]:
        """`forward`, and the file of each image."""
        low, high = self.train_qualities
        count = len(images)
        drawn = torch.randint(low, high + 1, (count,)) if self.training else [self.quality] * count
        files = [encode(image, int(q)) for image, q in zip(images, drawn, strict=True)]
        return self.restore(torch.stack([decode(file) for file in files]).to(images)), files

    def restore(self, decoded: Tensor) -> Tensor:
        """Copies of what files hold, both ``(N, 3, H, W)`` in [-1, 1]."""
        return decoded + self.network(decoded).float()


def encode(image: Tensor, quality: int) -> bytes:
    """The AVIF file of an image ``(3, H, W)`` in [-1, 1], on any device."""
    file = io.BytesIO()
    picture = Image.fromarray(to_uint8_image(to_unit(image.detach())).numpy())
    picture.save(file, "AVIF", quality=quality, subsampling=MODE)
    return file.getvalue()


def decode(
    data: bytes, name: str = "the AVIF file", most_pixels: int = limits.IMAGE_PIXELS
) -> Tensor:
    """An image ``(3, H, W)`` in [-1, 1], float32, of a file.

    Args:
        data: the file.
        name: of it, for messages.
        most_pixels: that are decoded.

    Raises:
        DataError: not an AVIF file, damaged, of several frames or transparent.
    """
    return photograph_input(decode_image(data, "RGB", name, ("AVIF",), most_pixels), None)
