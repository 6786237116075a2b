"""Drawn vessels of a set, and Dice, for the scripts that score vessel maps."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.fundus_files import FundusFiles
from datamodules.fundus_input import read_mask
from datamodules.images import read_image
from datamodules.transforms.field_of_view import estimate_fov

THRESHOLDS = np.arange(0.1, 0.9, 0.01)


def dice(called: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks of any shape."""
    return 2 * float((called & truth).sum()) / float(called.sum() + truth.sum())


def drawn(files: FundusFiles) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """First and second observer's vessels, and the field of view, bool ``(H, W)``."""
    pixels = read_image(files.image, "RGB")
    size = pixels.shape[-2:]
    assert files.vessels is not None, f"{files.image}: no drawn vessels"
    first = read_mask(files.vessels, files.image, size)[0].numpy()
    second = files.second and read_mask(files.second, files.image, size)[0].numpy()
    if files.fov is None:
        return first, second, estimate_fov(pixels.permute(1, 2, 0).numpy())
    return first, second, read_mask(files.fov, files.image, size, full=True)[0].numpy()
