"""How photographs are compressed as AVIF files."""

from dataclasses import dataclass

from common.ranges import AVIFQuality


@dataclass(frozen=True)
class AVIFInference:
    """What may be set after training.

    Args:
        quality: of the files: 60 takes a third of a bit a pixel for photographs of 512x512 px.
    """

    quality: AVIFQuality = 60
