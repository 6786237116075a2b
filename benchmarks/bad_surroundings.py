"""More images and tables, environments, and what must not be read or written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_commands import BEST
from bad_files import Spoil
from PIL import Image


def images() -> dict[str, tuple[bool, Callable[[Path], None]]]:
    """More images, and whether they are good."""

    def saved(mode: str, kind: str, **options: object) -> Callable[[Path], None]:
        def change(path: Path) -> None:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            Image.fromarray(pixels).convert(mode).save(path, kind, **options)

        return change

    def zero(path: Path) -> None:
        header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 8 + b"\x08\0\0\0\0"
        path.write_bytes(header + b"\0" * 4)

    def tail(path: Path) -> None:
        saved("L", "JPEG")(path)
        path.write_bytes(path.read_bytes() + b"\0" * 999)

    def cut(kind: str) -> Callable[[Path], None]:
        def change(path: Path) -> None:
            saved("L", kind)(path)
            path.write_bytes(path.read_bytes()[:-200])

        return change

    def dangling(path: Path) -> None:
        path.unlink()
        path.symlink_to("nothing")

    def signed(path: Path) -> None:
        Image.fromarray(np.full((32, 32), -7, np.int32)).save(path, "TIFF")

    return {
        "of one bit": (True, saved("1", "PNG")),
        "a JPEG of four inks": (True, saved("CMYK", "JPEG")),
        "opaque RGBA": (True, saved("RGBA", "PNG")),
        "gray with alpha": (True, saved("LA", "PNG")),
        "a palette": (True, saved("P", "PNG")),
        "a WebP": (True, saved("RGB", "WEBP", lossless=True)),
        "of no pixels": (False, zero),
        "a JPEG with a tail": (True, tail),
        "a BMP cut off": (False, cut("BMP")),
        "a TIFF cut off": (False, cut("TIFF")),
        "of signed numbers": (False, signed),
        "a PDF": (False, lambda p: p.write_bytes(b"%PDF-1.7\n") and None),
        "a link to nothing": (False, dangling),
    }


TABLES: dict[str, bytes] = {
    "two headers": b"ID,Label\nID,Label\ntrain_000.png,0\n",
    "label in quotes of another kind": "ID,Label\ntrain_000.png,“0”\n".encode(),
    "label True": b"ID,Label\ntrain_000.png,True\n",
    "label 1e0": b"ID,Label\ntrain_000.png,1e0\n",
    "header in capitals": b"id,label\ntrain_000.png,0\n",
    "no header": b"train_000.png,0\ntrain_001.png,1\n",
    "names without ending": b"ID,Label\ntrain_000,0\n",
    "a Windows path": b"ID,Label\ntrain_images\\train_000.png,0\n",
    "UTF-32": "ID,Label\ntrain_000.png,0\n".encode("utf-32"),
    "JSON": b'[{"ID": "train_000.png", "Label": 0}]',
    "missing cells": b"ID,Label\ntrain_000.png\n",
    "one image": b"ID,Label\ntrain_000.png,0\n",
    "a comment": b"# images\nID,Label\ntrain_000.png,0\n",
}

# Variables of the environment with which `fit` still works.
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "OMP_NUM_THREADS junk": {"OMP_NUM_THREADS": "junk"},
    "CUDA_VISIBLE_DEVICES junk": {"CUDA_VISIBLE_DEVICES": "junk"},
    "empty cache": {"XDG_CACHE_HOME": "", "TORCH_HOME": ""},
    "SLURM without its size": {"SLURM_JOB_ID": "3"},
    "warnings as errors for Python": {"PYTHONWARNINGS": "error"},
    "an unknown time zone": {"TZ": "Nowhere/Nothing"},
    "a proxy that is junk": {"https_proxy": "junk", "HTTP_PROXY": "::"},
}


def _mode(relative: str, mode: int) -> Spoil:
    def spoil(here: Path) -> None:
        secret = here / "secret/x"
        secret.mkdir(parents=True)
        shutil.copy(next(p for p in here.glob("data/*/**/*") if p.is_file()), secret)
        for path in [here, *here.rglob("*")]:
            path.chmod(0o777)
        for path in here.glob(relative):
            path.chmod(mode)

    spoil.__doc__ = f"{relative} has mode {mode:o}"
    return spoil


# As a user who owns nothing: what must not be read or written.
PERMISSIONS: dict[str, list[tuple[str, str, Spoil]]] = {
    "aoi": [
        ("fit", "", _mode("data", 0o000)),
        ("fit", "", _mode("data/train.csv", 0o000)),
        ("fit", "", _mode("data/train_images", 0o000)),
        ("fit", "", _mode("data/train_images", 0o444)),
        ("fit", "", _mode("data/train_images/train_001.png", 0o000)),
        ("fit", "--run.root={here}/secret", _mode("secret", 0o555)),
        ("fit", "--run.root={here}/secret/x/y", _mode("secret/x", 0o555)),
        ("fit", "--config={data}/test.csv", _mode("data/test.csv", 0o000)),
        ("fit", "--ckpt_path={run} --trainer.max_epochs=3", _mode("run", 0o000)),
        ("test", BEST, _mode("run", 0o000)),
        ("test", BEST, _mode("run/checkpoints", 0o000)),
        ("test", BEST, _mode("run/checkpoints/last.ckpt", 0o000)),
        ("predict", f"{BEST} --data.predict_dir={{data}}/test_images", _mode("run", 0o555)),
        ("predict", f"{BEST} --data.predict_dir={{here}}/secret/x", _mode("secret", 0o000)),
        ("predict", f"{BEST} --data.predict_dir={{here}}/secret/x", _mode("secret/x", 0o000)),
        ("predict", f"{BEST} --output={{here}}/secret/y", _mode("secret", 0o555)),
        ("fit", f"{BEST} --trainer.max_epochs=3", _mode("run", 0o555)),
    ],
    "vessels": [
        ("fit", "", _mode("data/training", 0o000)),
        ("fit", "", _mode("data/training/images", 0o000)),
        ("fit", "", _mode("data/training/mask", 0o444)),
        ("fit", "", _mode("data/training/1st_manual/22_manual1.gif", 0o000)),
        ("predict", f"{BEST} --data.predict_dir={{data}}/test", _mode("data/test", 0o000)),
    ],
    "blots": [
        ("fit", "", _mode("data/wb_template", 0o000)),
        ("fit", "", _mode("data/groups.csv", 0o000)),
    ],
}
