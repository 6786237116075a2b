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


def write_aoi(folder: Path) -> None:
    """43 training images of six classes told apart by brightness, and 13 test images."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 43), ("test", 13)):
        rows = ["ID,Label"]
        for index in range(count):
            pixels = rng.normal(30 + 40 * (index % 6), 8, (32, 32)).clip(0, 255)
            _save(pixels, folder / f"{split}_images" / f"{split}_{index:03d}.png")
            rows.append(f"{split}_{index:03d}.png,{index % 6}")
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_drive(folder: Path) -> None:
    """Eight training and three test photographs of 44 x 40 px with masks."""
    y, x = np.mgrid[:44, :40]
    fov = ((y - 22) ** 2 + (x - 20) ** 2 < 18**2) * 255
    for split, first, count in (("training", 21, 8), ("test", 1, 3)):
        for n in range(first, first + count):
            photograph = np.random.default_rng(n).integers(90, 160, (44, 40, 3))
            vessels = np.zeros((44, 40))
            vessels[10 + n % 20, 8:30] = 255
            part = folder / split
            _save(photograph * (fov[..., None] > 0), part / "images" / f"{n:02d}_{split}.tif")
            _save(vessels, part / "1st_manual" / f"{n:02d}_manual1.gif")
            _save(fov, part / "mask" / f"{n:02d}_{split}_mask.gif")


def write_blots(folder: Path) -> None:
    """23 triples of noise of 16 x 16 px from seven membranes."""
    rng = np.random.default_rng(0)
    rows = ["ID,membrane"]
    for n in range(23):
        for prefix in ("wb_dataset/", "wb_template/BandMask_", "wb_template2/BasePattern_"):
            _save(rng.integers(0, 256, (16, 16)), folder / f"{prefix}bg_{n:04d}.png")
        rows.append(f"bg_{n:04d},m{n % 7}")
    (folder / "groups.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
