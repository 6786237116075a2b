"""Data sets of a few small images in the layout of each task, for what is not about images."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
_AOI = [
    "--data.image_size=32",
    "--data.num_workers=0",
    "--data.batch_size=8",
    "--model.network.weights=random",
]
_CROPS = ["--data.augmentation.crop=32", "--data.crops_per_image=1", "--data.val_size=3"]
_VESSELS = ["--model.network.widths=[4,8]"]
_RETINA = ["--model.network.widths=[4,8,8]", "--data.size=32"]
_GAN = ["--data.batch_size=4", "--model.generator.width=4", "--model.discriminator.width=4"]

# What makes each config a matter of a second; for data from `write_all`.
SMALL: Mapping[str, list[str]] = {
    "aoi": _AOI,
    "aoi_best": _AOI,
    "vessels": [*_VESSELS, "--data.inputs.size=32", "--data.val_size=3"],
    "vessels_best": [
        *_VESSELS,
        *_CROPS,
        "--data.inputs.diameter=36",
        "--trainer.check_val_every_n_epoch=2",
    ],
    "retina": [*_RETINA, "--data.val_size=3"],
    "retina_best": [*_RETINA, *_CROPS],
    "blots": ["--data.size=16", "--data.batch_size=4"],
    "blots_style": ["--data.size=32", *_GAN],
}
FOLDERS = {"aoi": "aoi", "vessels": "drive", "retina": "drive", "blots": "blots"}


def options(config: str) -> list[str]:
    """Arguments of ``cli.py`` that make a config small and exact on the CPU."""
    return [
        f"--config={ROOT / 'configs' / config}.yaml",
        "--run.wandb=disabled",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.enable_progress_bar=false",
        *SMALL[config],
    ]


def write_all(root: Path) -> None:
    """Write ``root/aoi``, ``root/drive`` and ``root/blots``, with splits odd over two processes."""
    write_aoi(root / "aoi")
    write_drive(root / "drive")
    write_blots(root / "blots")


def data_of(config: str, root: Path) -> Path:
    """Folder of the config's task below ``root``."""
    return root / FOLDERS[config.partition("_")[0]]


def write_aoi(folder: Path, train: int = 43, test: int = 13) -> Path:
    """AIdea's layout: images of six classes that are told apart by brightness."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        rows = ["ID,Label"]
        for index in range(count):
            pixels = rng.normal(30 + 40 * (index % 6), 8, (32, 32)).clip(0, 255)
            _save(pixels, folder / f"{split}_images" / f"{split}_{index:05d}.png")
            rows.append(f"{split}_{index:05d}.png,{index % 6}")
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def fov() -> np.ndarray:
    """Mask of the field of view, 44 x 40 px."""
    y, x = np.mgrid[:44, :40]
    return ((y - 22) ** 2 + (x - 20) ** 2 < 18**2) * np.uint8(255)


def photograph(seed: int) -> np.ndarray:
    """Noise in the field of view."""
    return np.random.default_rng(seed).integers(90, 160, (44, 40, 3), np.uint8) * (
        fov()[..., None] > 0
    )


def vessels(seed: int) -> np.ndarray:
    """Mask of one vessel, whose row tells the photograph."""
    mask = np.zeros((44, 40), np.uint8)
    mask[10 + seed % 20, 8:30] = 255
    return mask


def write_drive(folder: Path, train: int = 8) -> Path:
    """DRIVE's layout: training and three test photographs with masks."""
    for split, first, count in (("training", 21, train), ("test", 1, 3)):
        for n in range(first, first + count):
            part = folder / split
            _save(photograph(n), part / "images" / f"{n:02d}_{split}.tif")
            _save(vessels(n), part / "1st_manual" / f"{n:02d}_manual1.gif")
            _save(fov(), part / "mask" / f"{n:02d}_{split}_mask.gif")
    return folder


def write_blots(folder: Path, triples: int = 23, side: int = 16, membranes: int = 7) -> Path:
    """The course's layout: triples of noise."""
    rng = np.random.default_rng(0)
    rows = ["ID,membrane"]
    for n in range(triples):
        for prefix in ("wb_dataset/", "wb_template/BandMask_", "wb_template2/BasePattern_"):
            _save(rng.integers(0, 256, (side, side)), folder / f"{prefix}bg_{n:04d}.png")
        rows.append(f"bg_{n:04d},m{n % membranes}")
    (folder / "groups.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
