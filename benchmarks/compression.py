"""Image compression of the DRIVE test images: restored AVIF beside JPEG, WebP and AVIF.

python benchmarks/compression.py --data_dir ../shared/data/DRIVE --checkpoint last.ckpt

Means over the test images at 512x512 px: bytes of the whole file, bits per pixel, PSNR in dB (of
each image, range [0, 1], the copy rounded to 8 bits) and SSIM. A checkpoint of `retina_avif` gives
two rows for each quality: AVIF files with full-size color, as they are and restored; a second table
has its gain at equal bytes over WebP and AVIF. Prints Markdown.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.drive import test_split
from datamodules.drive_reconstruction import PhotographDataset
from inference import load
from lit_models.networks.restored_avif import decode, encode
from lit_models.postprocessing.pixels import to_uint8_image, to_unit

SIZE = 512
QUALITIES = {
    "JPEG": (5, 10, 20, 50, 75, 90),
    "WEBP": (1, 5, 20, 50, 75, 90, 95),
    "AVIF": (5, 10, 20, 40, 60, 75, 90),
}
RATES = np.arange(0.1, 0.95, 0.1)  # bits per pixel, at which methods are compared


@dataclass
class Row:
    """Means over the test images."""

    kind: str
    quality: int
    size: float  # bytes
    psnr: float
    ssim: float

    @property
    def rate(self) -> float:
        """Bits per pixel."""
        return self.size * 8 / SIZE**2

    def __str__(self) -> str:
        cells = [f"{self.size:.0f}", f"{self.rate:.3f}", f"{self.psnr:.2f}", f"{self.ssim:.4f}"]
        return f"| {self.kind}, quality {self.quality} | {' | '.join(cells)} |"


def score(
    kind: str,
    quality: int,
    images: Sequence[Tensor],
    files: Sequence[bytes],
    read: Callable[[bytes], Tensor],
) -> Row:
    """Means over ``images`` ``(3, H, W)`` in [-1, 1] and what ``read`` makes of their files."""
    results = []
    for image, file in zip(images, files, strict=True):
        truth, copy = to_unit(image[None]), (to_unit(read(file)[None]) * 255).round() / 255
        psnr = float(peak_signal_noise_ratio(copy, truth, data_range=1.0))
        ssim = structural_similarity_index_measure(copy, truth, data_range=1.0)
        results.append((len(file), psnr, float(ssim)))  # type: ignore[arg-type]
    return Row(kind, quality, *np.mean(results, axis=0).tolist())


def pixels(file: bytes) -> Tensor:
    """Float32 ``(3, H, W)`` in [-1, 1]."""
    with Image.open(io.BytesIO(file)) as image:
        array = np.asarray(image.convert("RGB"), np.float32)
    return torch.from_numpy(array / 127.5 - 1).permute(2, 0, 1)


def formats(images: Sequence[Tensor]) -> Iterator[Row]:
    """Image formats through Pillow."""
    for name, qualities in QUALITIES.items():
        for quality in qualities:
            files = []
            for image in images:
                file = io.BytesIO()
                Image.fromarray(to_uint8_image(to_unit(image)).numpy()).save(
                    file, name, quality=quality
                )
                files.append(file.getvalue())
            yield score(name, quality, images, files, pixels)


def restored(checkpoint: Path, images: Sequence[Tensor]) -> Iterator[Row]:
    """AVIF files with full-size color, and what the network makes of them."""
    model, seconds = load(checkpoint, device="cpu", precision="32-true"), []

    @torch.inference_mode()
    def restore(file: bytes) -> Tensor:
        start = time.perf_counter()
        made = model.network.restore(decode(file)[None])[0]
        seconds.append(time.perf_counter() - start)
        return made

    for quality in QUALITIES["AVIF"]:
        files = [encode(image, quality) for image in images]
        yield score("AVIF 4:4:4", quality, images, files, pixels)
        yield score("restored AVIF", quality, images, files, restore)
    threads = torch.get_num_threads()
    print(f"{np.mean(seconds):.2f} s to decode an image, {threads} threads", file=sys.stderr)


def gains(rows: Sequence[Row]) -> str:
    """PSNR of restored AVIF above that of each format at `RATES`, in dB."""

    def psnr(kind: str) -> np.ndarray:
        """Linear between the rows in the logarithm of the rate."""
        points = sorted((row.rate, row.psnr) for row in rows if row.kind == kind)
        rates, values = np.array(points).T
        return np.interp(np.log(RATES), np.log(rates), values)

    lines = ["| bits per pixel | " + " | ".join(f"{rate:.1f}" for rate in RATES) + " |"]
    lines.append("|---" * (len(RATES) + 1) + "|")
    for kind in ("WEBP", "AVIF", "AVIF 4:4:4"):
        cells = " | ".join(f"{value:+.2f}" for value in psnr("restored AVIF") - psnr(kind))
        lines.append(f"| above {kind}, dB | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data_dir", type=Path, required=True, help="in the layout of DRIVE")
    parser.add_argument("--checkpoint", type=Path, help="of retina_avif")
    parser.add_argument("--images", type=int, help="score only the first test images")
    options = parser.parse_args()
    photographs = PhotographDataset(test_split(options.data_dir)[: options.images], SIZE)
    images = [photographs[i]["image"].as_subclass(Tensor) for i in range(len(photographs))]
    print(f"{len(images)} test images\n")
    print("| method | bytes | bits per pixel | PSNR | SSIM |\n|---|---|---|---|---|")
    rows = []
    trained = restored(options.checkpoint, images) if options.checkpoint else ()
    for row in chain(trained, formats(images)):
        rows.append(row)
        print(row, flush=True)
    if options.checkpoint:
        print(f"\n{gains(rows)}")


if __name__ == "__main__":
    main()
