"""``python cli.py compress``: fundus photographs as AVIF files, as small as their vessels allow."""

import argparse
import io
import logging
from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize
from torchvision.transforms.functional import to_tensor

from common.errors import DataError, UsageError
from common.paths import expand
from datamodules.fundus_files import plain_images
from experiment.atomic import atomic_write, write_table
from experiment.run_folder import open_prediction_folder
from inference.inputs import Source, read_pixels
from inference.loading import load
from inference.vessels import VesselModel
from lit_models.metrics.image_scores import image_scores

log = logging.getLogger(__name__)

QUALITY = 90  # keeps 98 % of the vessel length of DRIVE's validation images
SPEED = 4
SUBSAMPLING = ("4:4:4", "4:2:0")  # of the color
TOLERANCE = 2  # px
TUNE = {"tune": "psnr"}  # of libaom, in place of what looks well
VESSELS = Path(__file__).resolve().parent.parent / "pretrained" / "vessels_best.ckpt"
# Size and quality of the file, then of the copy: PSNR (dB) and SSIM in [0, 1], and `vessels_kept`.
COLUMNS = ("ID", "file", "quality", "bytes", "bits_per_pixel", "psnr", "ssim", "length", "dice")


def compress(
    photograph: Source, quality: int = QUALITY, speed: int = SPEED, subsampling: str = "4:4:4"
) -> bytes:
    """The AVIF file of one photograph, 8-bit RGB of its size, which any program opens.

    Args:
        photograph: a path, a PIL image or an array.
        quality: 0 to 100; 100 is not lossless. See also `quality_that_keeps`.
        speed: 0 to 10, of the encoder; slower files are smaller.
        subsampling: "4:2:0" halves the size of the color: smaller files for the same vessels, at
            2 to 3 dB less.

    Raises:
        DataError: see `read_pixels`; quality or speed out of its range.
    """
    for name, value, most in (("quality", quality, 100), ("speed", speed, 10)):
        if not 0 <= value <= most:
            raise UsageError(f"{name}: {value}; give 0 to {most}")
    file, settings = io.BytesIO(), {"speed": speed, "subsampling": subsampling, "advanced": TUNE}
    _read(photograph).save(file, "AVIF", quality=quality, **settings)
    return file.getvalue()


def decode(data: bytes) -> Image.Image:
    """The RGB image in an image file."""
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGB")


def quality_that_keeps(
    keep_vessels: float, photograph: Source, vessels: Any = None, **settings: Any
) -> int:
    """The least quality, by bisection, at which a copy keeps so much of the vessel length; or 100.

    Args:
        keep_vessels: share of the length, see `vessels_kept`, above 0 and at most 1.
        photograph: as in `compress`.
        vessels: the model that finds them; None loads `VESSELS`.
        **settings: ``speed`` and ``subsampling`` of `compress`.

    Raises:
        DataError: no vessels; ``keep_vessels`` out of its range.
    """
    if not 0 < keep_vessels <= 1:
        raise UsageError(f"keep_vessels: {keep_vessels}; give more than 0 and at most 1")
    image, vessels = _read(photograph), vessels or load(VESSELS)
    truth = vessels.predict(image).mask
    if not truth.any():
        raise DataError("no vessels found, so none to keep; give a quality")

    def keeps(quality: int) -> bool:
        copy = decode(compress(image, quality, **settings))
        return vessels_kept(truth, vessels.predict(copy).mask)[0] >= keep_vessels

    return bisect_left(range(100), True, key=keeps)


def vessels_kept(truth: np.ndarray, copy: np.ndarray) -> tuple[float, float]:
    """How far vessels found in a copy are those of the photograph, by masks ``(H, W)`` bool.

    Returns:
        Share of the length of center lines within 2 px of the copy's (a tolerance of
        Gegundez-Arias et al. 2012, IEEE TMI 31:231), and Dice of the masks; NaN without vessels.
    """
    lines, found = skeletonize(truth), skeletonize(copy)
    near = distance_transform_edt(~found) <= TOLERANCE if found.any() else found
    length = (lines & near).sum() / (lines.sum() or np.nan)
    dice = 2 * (truth & copy).sum() / ((truth.sum() + copy.sum()) or np.nan)
    return float(length), float(dice)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``compress``."""
    parser.add_argument("photographs", type=Path, help="a folder of them, or one")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quality", type=int, default=QUALITY, help=f"0 to 100; {QUALITY}")
    text = "the smallest files that keep this part of the vessel length, such as 0.98"
    size.add_argument("--keep_vessels", type=float, help=text)
    parser.add_argument("--speed", type=int, default=SPEED, help="0, smallest files, to 10")
    text = "of the color; 4:2:0 makes smaller files for the same vessels, and loses color"
    parser.add_argument("--subsampling", choices=SUBSAMPLING, default="4:4:4", help=text)
    parser.add_argument("--ckpt_path", type=Path, default=VESSELS, help="a model of vessels")


def run(options: argparse.Namespace) -> None:
    """Write an ``.avif`` for each photograph, and ``compression.csv``, see `COLUMNS`.

    Raises:
        DataError: bad options; at the end, where photographs were left out.
    """
    photographs = plain_images(expand(options.photographs), recursive=False)
    vessels = load(options.ckpt_path)
    if not isinstance(vessels, VesselModel):
        raise DataError(f"{options.ckpt_path}: finds no vessels; give a model of configs/vessels*")
    folder = open_prediction_folder(Path(), "", options.output)
    settings, rows = {"speed": options.speed, "subsampling": options.subsampling}, []
    for photograph in photographs:
        try:
            image, quality = _read(photograph.image), options.quality
            if options.keep_vessels is not None:
                quality = quality_that_keeps(options.keep_vessels, image, vessels, **settings)
            data = compress(image, quality, **settings)
        except UsageError:
            raise
        except DataError as error:
            log.warning("%s: left out: %s", photograph.name, error)
            continue
        name = photograph.image.with_suffix(".avif").name
        with atomic_write(folder / name) as tmp_path:
            tmp_path.write_bytes(data)
        copy = decode(data)
        scores = image_scores(to_tensor(copy)[None], to_tensor(image)[None])
        kept = vessels_kept(*(vessels.predict(one).mask for one in (image, copy)))
        bits = 8 * len(data) / image.width / image.height
        figures = [f"{x:.4f}" for x in (bits, *map(float, scores.values()), *kept)]
        rows.append([photograph.image.name, name, quality, len(data), *figures])
    write_table(folder / "compression.csv", COLUMNS, rows)
    print(f"{len(rows)} files {folder}")
    if left_out := len(photographs) - len(rows):
        raise DataError(f"{left_out} photographs were left out, see above")


def _read(photograph: Source) -> Image.Image:
    pixels, _ = read_pixels(photograph, "RGB", "image")
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
