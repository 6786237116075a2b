"""Values of networks as the pixels of files."""

from torch import Tensor


def to_unit(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1] in float32, clamped, as an 8-bit file could hold it but not rounded."""
    return ((images.float() + 1) / 2).clamp(0, 1)


def to_uint8_image(image: Tensor) -> Tensor:
    """[0, 1] ``(C, H, W)`` to uint8 ``(H, W, C)``, on the CPU."""
    return (image.float() * 255).round().byte().permute(1, 2, 0).cpu().contiguous()


def to_gray(blots: Tensor) -> Tensor:
    """Gray levels uint8 of blots in [-1, 1], of the same shape."""
    return ((blots + 1) * 127.5).round().byte()
