"""Files that are not what they should be, and folders without what they should hold."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

Spoil = Callable[[Path], None]  # changes files below a case's folder


def spoiled(doc: str) -> Callable[[Spoil], Spoil]:
    """Give a function that spoils files the words to name it by."""

    def name(function: Spoil) -> Spoil:
        function.__doc__ = doc
        return function

    return name


def write_bytes(relative: str, content: bytes) -> Spoil:
    """Write a file."""

    @spoiled(f"{relative} holds {content[:20]!r}")
    def spoil(here: Path) -> None:
        path = here / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return spoil


class _Runs:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("ran"),)


def checkpoints() -> dict[str, Spoil]:
    """Files at ``bad.ckpt`` that are no checkpoint, and some that are one of something else."""

    def save(value: object) -> Spoil:
        def spoil(here: Path) -> None:
            torch.save(value, here / "bad.ckpt")

        return spoil

    def changed(change: Callable[[dict], None]) -> Spoil:
        def spoil(here: Path) -> None:
            path = next(here.glob("run/checkpoints/last.ckpt"))
            checkpoint = torch.load(path, weights_only=True)
            change(checkpoint)
            torch.save(checkpoint, here / "bad.ckpt")

        return spoil

    def truncated(here: Path) -> None:
        whole = next(here.glob("run/checkpoints/last.ckpt")).read_bytes()
        (here / "bad.ckpt").write_bytes(whole[: len(whole) // 2])

    def flipped(here: Path) -> None:
        whole = bytearray(next(here.glob("run/checkpoints/last.ckpt")).read_bytes())
        for i in range(len(whole) // 3, len(whole) // 3 + 4000):
            whole[i] ^= 255
        (here / "bad.ckpt").write_bytes(bytes(whole))

    def image(here: Path) -> None:
        Image.new("L", (9, 9)).save(here / "bad.ckpt", "PNG")

    def code(here: Path) -> None:
        (here / "bad.ckpt").write_bytes(pickle.dumps(_Runs()))

    def nan(checkpoint: dict) -> None:
        for value in checkpoint["state_dict"].values():
            if value.is_floating_point():
                value.fill_(float("nan"))

    def renamed(checkpoint: dict) -> None:
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {f"x.{name}": value for name, value in state.items()}

    def shapes(checkpoint: dict) -> None:
        state = checkpoint["state_dict"]
        name = next(name for name, value in state.items() if value.dim() > 1)
        state[name] = state[name][:1, :1]

    def popen(checkpoint: dict) -> None:
        hyper = checkpoint["hyper_parameters"]
        hyper["loss"] = {"class_path": "subprocess.Popen", "init_args": {"args": "touch ran"}}

    return {
        "text": write_bytes("bad.ckpt", b"hello\n"),
        "empty": write_bytes("bad.ckpt", b""),
        "zip": write_bytes("bad.ckpt", b"PK\x03\x04" + b"\0" * 100),
        "truncated": truncated,
        "flipped bytes": flipped,
        "image": image,
        "pickle with code": code,
        "code in torch's format": save(_Runs()),
        "list": save([1, 2]),
        "number": save(3),
        "tensor": save(torch.zeros(3)),
        "bare state dict": save({"weight": torch.zeros(3)}),
        "no weights": changed(lambda c: c.pop("state_dict")),
        "no loops": changed(lambda c: c.pop("loops")),
        "NaN weights": changed(nan),
        "other names": changed(renamed),
        "other shapes": changed(shapes),
        "a class that runs programs": changed(popen),
    }


def images() -> dict[str, Callable[[Path], None]]:
    """Ways for an image file not to be one, or not a usable one."""

    def palette(path: Path) -> None:
        Image.new("RGBA", (32, 32), (9, 9, 9, 50)).save(path, "PNG")

    def sixteen(path: Path) -> None:
        Image.fromarray(np.zeros((32, 32), np.uint16)).save(path, "PNG")

    def pages(path: Path) -> None:
        page = Image.new("L", (32, 32))
        page.save(path, "TIFF", save_all=True, append_images=[page])

    def cut(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])

    def folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    return {
        "text": lambda path: path.write_text("hello") and None,
        "empty": lambda path: path.write_bytes(b"") and None,
        "truncated": cut,
        "transparent": palette,
        "16 bits": sixteen,
        "two pages": pages,
        "a folder": folder,
        "gone": lambda path: path.unlink(),
    }


TABLES: dict[str, bytes] = {
    "empty": b"",
    "header": b"ID,Label\n",
    "other columns": b"name,class\ntrain_000.png,0\n",
    "no comma": b"ID\ntrain_000.png\n",
    "label out of range": b"ID,Label\ntrain_000.png,6\n",
    "label no number": b"ID,Label\ntrain_000.png,scratch\n",
    "no label": b"ID,Label\ntrain_000.png,\n",
    "twice": b"ID,Label\ntrain_000.png,0\ntrain_000.png,1\n",
    "image that is not there": b"ID,Label\nnothing.png,0\n",
    "path": b"ID,Label\n../../x.png,0\n",
    "UTF-16": "ID,Label\ntrain_000.png,0\n".encode("utf-16"),
    "Latin-1": "ID,Label\nträin.png,0\n".encode("latin-1"),
    "unbalanced quote": b'ID,Label\n"train_000.png,0\ntrain_001.png,1\n',
    "NUL": b"ID,Label\ntrain_000.png,\x000\n",
    "too many cells": b"ID,Label\ntrain_000.png,0,7\n",
    "image": b"\x89PNG\r\n\x1a\n\0\0\0",
    "one class": b"ID,Label\ntrain_000.png,0\ntrain_006.png,0\n",
}


def spoil_image(pattern: str, name: str, change: Callable[[Path], None]) -> Spoil:
    """Change the second of the images that match."""

    @spoiled(f"{pattern} is {name}")
    def spoil(here: Path) -> None:
        change(sorted(here.glob(pattern))[1])

    return spoil


def layout(name: str, change: Callable[[Path], object]) -> Spoil:
    """Change the folder of the data."""

    @spoiled(name)
    def spoil(here: Path) -> None:
        change(here / "data")

    return spoil


def _invert(path: Path) -> None:
    Image.fromarray(255 - np.array(Image.open(path).convert("L"))).save(path)


def _swap(data: Path) -> None:
    (data / "training/mask").rename(data / "x")
    (data / "training/1st_manual").rename(data / "training/mask")
    (data / "x").rename(data / "training/1st_manual")


LAYOUTS: dict[str, dict[str, Callable[[Path], object]]] = {
    "aoi": {
        "no train.csv": lambda d: (d / "train.csv").unlink(),
        "no images": lambda d: shutil.rmtree(d / "train_images"),
        "a file": lambda d: (shutil.rmtree(d), d.write_text("x")),
        "empty": lambda d: (shutil.rmtree(d), d.mkdir()),
    },
    "vessels": {
        "no training": lambda d: shutil.rmtree(d / "training"),
        "no masks": lambda d: shutil.rmtree(d / "training/1st_manual"),
        "a mask too few": lambda d: next((d / "training/1st_manual").iterdir()).unlink(),
        "an image too few": lambda d: next((d / "training/images").iterdir()).unlink(),
        "an inverted mask": lambda d: _invert(next((d / "training/1st_manual").iterdir())),
        "an inverted field of view": lambda d: _invert(next((d / "training/mask").iterdir())),
        "masks swapped": _swap,
        "an empty mask": lambda d: Image.new("L", (40, 44)).save(
            next((d / "training/1st_manual").iterdir())
        ),
        "a mask of another size": lambda d: Image.new("L", (9, 9)).save(
            next((d / "training/1st_manual").iterdir())
        ),
        "a gray mask": lambda d: Image.fromarray(
            np.linspace(0, 255, 44 * 40).reshape(44, 40).astype(np.uint8)
        ).save(next((d / "training/1st_manual").iterdir())),
    },
    "retina": {"empty": lambda d: (shutil.rmtree(d), d.mkdir())},
    "blots": {
        "no templates": lambda d: shutil.rmtree(d / "wb_template"),
        "a template too few": lambda d: next((d / "wb_template").iterdir()).unlink(),
        "a template that is the target": lambda d: shutil.copy(
            d / "wb_dataset/bg_0000.png", d / "wb_template/BandMask_bg_0000.png"
        ),
        "another shape": lambda d: Image.new("L", (9, 9)).save(d / "wb_dataset/bg_0001.png"),
        "groups.csv without a stem": lambda d: (d / "groups.csv").write_text("ID,membrane\nx,1\n"),
        "groups.csv empty": lambda d: (d / "groups.csv").write_text(""),
        "groups.csv of one membrane": lambda d: (d / "groups.csv").write_text(
            "ID,membrane\n" + "".join(f"bg_{n:04d},m\n" for n in range(23))
        ),
    },
}

RUN_FILES: dict[str, bytes] = {
    "run/run.json": b"{",
    "run/metrics.csv": b"epoch,step\n1,2,3\n",
    "run/config.yaml": b"a: [",
}
