"""Image compression of the DRIVE test images: restored AVIF beside PCA, JPEG, WebP and AVIF.

python benchmarks/compression.py --data_dir ../shared/data/DRIVE --checkpoints a.ckpt b.ckpt ...

Prints a table of means over the test images at 512x512 px: bytes of the whole file, bits a pixel,
PSNR in dB (of each image, range [0, 1], the copy rounded to 8 bits) and SSIM.

A `retina_avif` checkpoint gives a row for each quality: AVIF files with full-size color, as they
are and restored. A second table has its gain at equal bytes over WebP and AVIF.
The PCA of 16x16 blocks is fitted to all training images, of which the models saw those that
were not kept for validation; its coefficients are quantized to 8 bits as well and go through lzma.
"""

import argparse
import io
import lzma
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

sys.path.insert(0, str(Path(__file__).parent.parent))

from datamodules.drive import test_split, training_split
from datamodules.drive_files import FundusFiles
from datamodules.drive_reconstruction import PhotographDataset
from experiment.plotting import PALETTE, styled
from inference import load
from inference.retina import AVIFModel
from lit_models.networks.restored_avif import decode as decode_file
from lit_models.networks.restored_avif import encode
from lit_models.prediction.pixels import to_pixels, to_unit

SIZE = 512
LEVELS = 128  # PCA's coefficients are rounded to -128..127
HEADER = 4  # bytes for height and width, beside what lzma gives
QUALITIES = {
    "JPEG": (5, 10, 20, 50, 75, 90),
    "WEBP": (1, 5, 20, 50, 75, 90, 95),
    "AVIF": (5, 10, 20, 40, 60, 75, 90),
}
RATES = np.arange(0.1, 0.95, 0.1)  # bits a pixel, at which methods are compared
PCA_CHANNELS = (12, 24, 48)


@dataclass
class Row:
    """Means over the test images."""

    method: str
    size: float  # bytes
    psnr: float
    ssim: float
    lzma_size: float | None = None

    @property
    def kind(self) -> str:
        """The method without its setting."""
        return self.method.partition(",")[0].partition(" quality")[0]

    def __str__(self) -> str:
        other = "" if self.lzma_size is None else f"{self.lzma_size:.0f}"
        rate = self.size * 8 / SIZE**2
        cells = [f"{self.size:.0f}", f"{rate:.3f}", f"{self.psnr:.2f}", f"{self.ssim:.4f}", other]
        return f"| {' | '.join([self.method, *cells])} |"


def lzma_size(integers: np.ndarray) -> int:
    """Bytes of integers ``(C, h, w)`` as int8 through lzma without a container."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 0, "pb": 0}]
    data = integers.astype(np.int8).tobytes()
    return HEADER + len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters))


def score(
    method: str,
    images: Sequence[Tensor],
    copies: Iterable[tuple[Tensor, int, int | None]],
) -> Row:
    """Means over ``images`` ``(3, H, W)`` in [-1, 1].

    Args:
        copies: each image's copy in [-1, 1], its bytes and, for a latent, its bytes by lzma.
    """
    results = []
    for image, (decoded, size, by_lzma) in zip(images, copies, strict=True):
        truth, rounded = to_unit(image[None]), (to_unit(decoded[None]) * 255).round() / 255
        psnr = float(peak_signal_noise_ratio(rounded, truth, data_range=1.0))
        ssim = structural_similarity_index_measure(rounded, truth, data_range=1.0)
        results.append((size, psnr, float(ssim), np.nan if by_lzma is None else by_lzma))  # type: ignore[arg-type]
    size_, psnr_, ssim_, by_lzma_ = np.mean(results, axis=0)
    return Row(method, size_, psnr_, ssim_, None if np.isnan(by_lzma_) else by_lzma_)


def trained(checkpoint: Path, images: Sequence[Tensor]) -> list[Row]:
    """A trained restorer of AVIF files."""
    model = load(checkpoint, device="cpu", precision="32-true")
    if isinstance(model, AVIFModel):
        return restored(model, images)
    raise SystemExit(f"{checkpoint}: does not compress; give a run of retina_avif")


def restored(model: AVIFModel, images: Sequence[Tensor]) -> list[Row]:
    """AVIF files with full-size color, and what the network makes of them."""
    rows, seconds = [], 0.0

    @torch.inference_mode()
    def copy(file: bytes) -> tuple[Tensor, int, None]:
        nonlocal seconds
        start = time.perf_counter()
        made = model.network.restore(decode_file(file)[None])[0]
        seconds += time.perf_counter() - start
        return made, len(file), None

    for quality in QUALITIES["AVIF"]:
        files = [encode(image, quality) for image in images]
        held = ((decode_file(file), len(file), None) for file in files)
        rows.append(score(f"AVIF 4:4:4, quality {quality}", images, held))
        rows.append(score(f"restored AVIF, quality {quality}", images, map(copy, files)))
    each = seconds / len(images) / len(QUALITIES["AVIF"])
    print(f"{each:.2f} s to decode an image, {torch.get_num_threads()} threads", file=sys.stderr)
    return rows


def psnr_at(rows: Sequence[Row], kind: str) -> np.ndarray:
    """PSNR at `RATES`, linear between the rows of a kind in the logarithm of the rate."""
    points = sorted((row.size * 8 / SIZE**2, row.psnr) for row in rows if row.kind == kind)
    rates, psnr = np.array(points).T
    return np.interp(np.log(RATES), np.log(rates), psnr)


def gains(rows: Sequence[Row]) -> str:
    """Of restored AVIF over each format at `RATES`, in dB."""
    lines = ["| bits a pixel | " + " | ".join(f"{rate:.1f}" for rate in RATES) + " |"]
    lines.append("|---" * (len(RATES) + 1) + "|")
    for kind in ("WEBP", "AVIF", "AVIF 4:4:4"):
        gain = psnr_at(rows, "restored AVIF") - psnr_at(rows, kind)
        cells = " | ".join(f"{value:+.2f}" for value in gain)
        lines.append(f"| above {kind}, dB | {cells} |")
    return "\n".join(lines)


def pca(channels: int, training: Sequence[Tensor], images: Sequence[Tensor]) -> Row:
    """PCA of 16x16 blocks, its coefficients in 8 bits each."""

    def blocks(image: Tensor) -> Tensor:
        return F.unfold(image[None], 16, stride=16)[0].T.double()

    seen = torch.cat([blocks(image) for image in training])
    mean = seen.mean(dim=0)
    basis = torch.linalg.eigh(torch.cov((seen - mean).T)).eigenvectors.flip(1)[:, :channels]
    step = ((seen - mean) @ basis).abs().amax(dim=0) / (LEVELS - 1)

    def copy(image: Tensor) -> tuple[Tensor, int, int]:
        integers = ((blocks(image) - mean) @ basis / step).round().clamp(-LEVELS, LEVELS - 1)
        decoded = (integers * step @ basis.T + mean).float().T[None]
        size = lzma_size(integers.T.numpy())
        return F.fold(decoded, (SIZE, SIZE), 16, stride=16)[0], size, size

    return score(f"PCA, {channels} channels ({768 // channels}x fewer)", images, map(copy, images))


def codec(name: str, quality: int, images: Sequence[Tensor]) -> Row:
    """An image format through Pillow."""

    def copy(image: Tensor) -> tuple[Tensor, int, None]:
        file = io.BytesIO()
        Image.fromarray(to_pixels(to_unit(image)).numpy()).save(file, name, quality=quality)
        return decode_file(file.getvalue()), len(file.getvalue()), None

    return score(f"{name} quality {quality}", images, map(copy, images))


def draw(rows: Sequence[Row], path: Path) -> None:
    """PSNR against bits a pixel, one line a method."""
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        lines: dict[str, list[Row]] = {}
        for row in rows:
            lines.setdefault(row.kind, []).append(row)
        for color, (name, line) in zip(PALETTE, lines.items(), strict=False):
            points = sorted((row.size * 8 / SIZE**2, row.psnr) for row in line)
            axes.plot(*zip(*points, strict=True), "o-", color=color, label=name)
        axes.set(xscale="log", xlabel="bits a pixel", ylabel="PSNR in dB")
        axes.set_title("DRIVE test images, 512x512 px")
        axes.legend()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def main() -> None:
    """Print the table, and draw it if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data_dir", type=Path, required=True, help="folder in the layout of DRIVE"
    )
    parser.add_argument("--checkpoints", nargs="*", type=Path, default=[], help="of retina_avif")
    parser.add_argument("--figure", type=Path, help="PNG to write")
    parser.add_argument("--images", type=int, help="score the first so many test images alone")
    arguments = parser.parse_args()

    def read(files: Sequence[FundusFiles]) -> list[Tensor]:
        photographs = PhotographDataset(files, SIZE)
        return [photographs[i]["image"].as_subclass(Tensor) for i in range(len(photographs))]

    images = read(test_split(arguments.data_dir)[: arguments.images])
    train, val = training_split(arguments.data_dir, val_size=4, seed=42)
    training = read([*train, *val])
    print(f"{len(images)} test images")
    print(
        "| method | bytes | bits a pixel | PSNR | SSIM | bytes by lzma |\n|---|---|---|---|---|---|"
    )
    rows = []
    for make in (
        *(lambda path=path: trained(path, images) for path in arguments.checkpoints),
        *(lambda count=count: [pca(count, training, images)] for count in PCA_CHANNELS),
        *(
            lambda name=name, quality=quality: [codec(name, quality, images)]
            for name, qualities in QUALITIES.items()
            for quality in qualities
        ),
    ):
        for row in make():
            rows.append(row)
            print(row, flush=True)
    if any(row.kind == "restored AVIF" for row in rows):
        print(f"\n{gains(rows)}")
    if arguments.figure:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
