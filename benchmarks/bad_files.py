"""Damaged files for bad_cases.py: what is wrong with them, and a function that makes them so."""

import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

Spoil = Callable[[Path], object]  # changes files below the folder of a case


def write_bytes(relative: str, content: bytes) -> Spoil:
    """Write a file."""

    def spoil(here: Path) -> None:
        path = here / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return spoil


def one(pattern: str, change: Spoil) -> Spoil:
    """Change the second of the files that match."""
    return lambda here: change(sorted(here.glob(pattern))[1])


class _Runs:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("ran"),)


def _changed(change: Callable[[dict], object]) -> Spoil:
    def spoil(here: Path) -> None:
        checkpoint = torch.load(here / "run/checkpoints/last.ckpt", weights_only=True)
        change(checkpoint)
        torch.save(checkpoint, here / "bad.ckpt")

    return spoil


def _cut(here: Path) -> None:
    (here / "bad.ckpt").write_bytes((here / "run/checkpoints/last.ckpt").read_bytes()[:9000])


def _set(**values: object) -> Spoil:
    return _changed(lambda checkpoint: checkpoint.update(values))


def _weights(change: Callable[[dict], dict]) -> Spoil:
    return _changed(lambda c: c.update(state_dict=change(c["state_dict"])))


def _hyper(**values: object) -> Spoil:
    return _changed(lambda checkpoint: checkpoint["hyper_parameters"].update(values))


POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "touch ran"}}
CHECKPOINTS: dict[str, Spoil] = {
    "text": write_bytes("bad.ckpt", b"hello\n"),
    "empty": write_bytes("bad.ckpt", b""),
    "cut off": _cut,
    "a pickle with code": write_bytes("bad.ckpt", pickle.dumps(_Runs())),
    "code in torch's format": lambda here: torch.save(_Runs(), here / "bad.ckpt"),
    "no weights": _changed(lambda c: c.pop("state_dict")),
    "NaN weights": _weights(lambda s: {k: v * float("nan") for k, v in s.items()}),
    "weights with other names": _weights(lambda s: {f"x.{k}": v for k, v in s.items()}),
    "weights of other shapes": _weights(lambda s: {k: v.reshape(-1)[:1] for k, v in s.items()}),
    "settings that are a list": _set(hyper_parameters=[1]),
    "a class that runs programs": _hyper(loss=POPEN),
    "a link to itself": lambda here: (here / "bad.ckpt").symlink_to(here / "bad.ckpt"),
    "a pipe": lambda here: os.mkfifo(here / "bad.ckpt"),
}
# A checkpoint whose weights are good, but with which a training cannot continue.
RESUMED: dict[str, Spoil] = {"no loops": _changed(lambda c: c.pop("loops"))}


def _image(mode: str, kind: str, **options: object) -> Spoil:
    """The pixels in another mode and format."""

    def change(path: Path) -> None:
        with Image.open(path) as image:
            pixels = image.convert("RGB")
        pixels.convert(mode).save(path, kind, **options)

    return change


def _instead(make: Spoil) -> Spoil:
    return lambda path: (path.unlink(), make(path))


def _huge(path: Path) -> None:
    """A header that promises 60,000 x 60,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        size, check = len(data), zlib.crc32(name + data)
        return struct.pack(">I", size) + name + data + struct.pack(">I", check)

    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
    body += chunk(b"IDAT", zlib.compress(b"\0"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))


PAGES = [Image.new("L", (32, 32), 40 * n) for n in range(3)]
TRAINED_ON = {
    "aoi": "data/train_images/*",
    "vessels": "data/training/1st_manual/*",
    "retina": "data/training/images/*",
    "blots": "data/wb_template2/*",
}
FINE_IMAGES: dict[str, Spoil] = {
    "one bit": _image("1", "PNG"),
    "16 bits": lambda path: Image.open(path).convert("L").convert("I;16").save(path, "PNG"),
    "opaque RGBA": _image("RGBA", "PNG"),
    "a palette": _image("P", "PNG"),
    "WebP": _image("RGB", "WEBP", lossless=True),
}
IMAGES: dict[str, Spoil] = FINE_IMAGES | {
    "text": lambda path: path.write_text("hello"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a huge header": _huge,
    "transparent": lambda path: Image.new("RGBA", (32, 32), (9, 9, 9, 50)).save(path, "PNG"),
    "CMYK": _image("CMYK", "JPEG"),
    "pages": lambda path: PAGES[0].save(path, "TIFF", save_all=True, append_images=PAGES[1:]),
    "gone": lambda path: path.unlink(),
    "a folder": _instead(lambda path: path.mkdir()),
    "a link to itself": _instead(lambda path: path.symlink_to(path)),
    "a pipe": _instead(os.mkfifo),
}

_ROWS = [(f"train_{n:05d}.png", str(n % 6)) for n in range(43)]
FINE_TABLES: dict[str, bytes] = {
    "BOM and CRLF": b"\xef\xbb\xbfID,Label\r\n"
    + "".join(f"{a},{b}\r\n" for a, b in _ROWS).encode(),
    "columns swapped": b"Label,ID\n" + "".join(f"{b},{a}\n" for a, b in _ROWS).encode(),
}
TABLES: dict[str, bytes] = FINE_TABLES | {
    "empty": b"",
    "header alone": b"ID,Label\n",
    "other columns": b"name,class\ntrain_00000.png,0\n",
    "label out of range": b"ID,Label\ntrain_00000.png,6\n",
    "label not a number": b"ID,Label\ntrain_00000.png,scratch\n",
    "no label": b"ID,Label\ntrain_00000.png,\n",
    "an image twice": b"ID,Label\ntrain_00000.png,0\ntrain_00000.png,1\n",
    "a missing image": b"ID,Label\nnothing.png,0\n",
    "a path outside": b"ID,Label\n../../x.png,0\n",
    "UTF-16": "ID,Label\ntrain_00000.png,0\n".encode("utf-16"),
    "NUL": b"ID,Label\ntrain_00000.png,\x000\n",
    "an image": b"\x89PNG\r\n\x1a\n\0\0\0",
    "one image": b"ID,Label\ntrain_00000.png,0\n",
}

CONFIGS: dict[str, bytes] = {
    "syntax": b"model:\n  class_path: x\n init_args: [\n",
    "a list": b"[1, 2]\n",
    "empty": b"",
    "an unknown section": b"trainr:\n  max_epochs: 3\n",
    "an unknown option": b"trainer:\n  max_epocs: 3\n",
    "a bad value": b"data:\n  init_args:\n    image_size: many\n",
    "an unknown class": b"model:\n  class_path: lit_models.Nope\n",
    "a section that is a list": b"trainer: [1, 2]\n",
    "a key twice": b"trainer:\n  max_epochs: 3\n  max_epochs: 4\n",
    "a tag that runs code": b"data: !!python/object/apply:os.system ['touch ran']\n",
}


def _first(pattern: str, change: Spoil) -> Spoil:
    return lambda here: change(next(here.glob(f"data/{pattern}/*")))


def _invert(path: Path) -> None:
    Image.fromarray(255 - np.array(Image.open(path).convert("L"))).save(path)


def _gone(relative: str) -> Spoil:
    return lambda here: shutil.rmtree(here / "data" / relative)


GRAY = Image.fromarray(np.linspace(0, 255, 44 * 40).reshape(44, 40).astype(np.uint8))
MASKS = "training/1st_manual"
EMPTY: Spoil = lambda here: (shutil.rmtree(here / "data"), (here / "data").mkdir())  # noqa: E731
LAYOUTS: dict[str, dict[str, Spoil]] = {
    "aoi": {
        "no table": lambda here: (here / "data/train.csv").unlink(),
        "no images": _gone("train_images"),
        "a file": lambda here: (shutil.rmtree(here / "data"), (here / "data").write_text("x")),
        "empty": EMPTY,
    },
    "vessels": {
        "no masks": _gone(MASKS),
        "a mask too few": _first(MASKS, Path.unlink),
        "an inverted mask": _first(MASKS, _invert),
        "a mask of another size": _first(MASKS, Image.new("L", (9, 9)).save),
        "a gray mask": _first(MASKS, GRAY.save),
    },
    "retina": {"empty": EMPTY},
    "blots": {
        "no templates": _gone("wb_template"),
        "a template too few": _first("wb_template", Path.unlink),
        "another shape": _first("wb_dataset", Image.new("L", (9, 9)).save),
        "groups.csv without a stem": write_bytes("data/groups.csv", b"ID,membrane\nx,1\n"),
    },
}
PREDICT_DIRS: dict[str, Spoil] = {
    "a text": write_bytes("x", b"hello"),
    "a folder of texts": write_bytes("x/a.txt", b"hello"),
    "a link to nothing": lambda here: (here / "x").symlink_to(here / "nothing"),
}
RECORDS = {"empty": b"", "a list": b"[1, 2]", "cut off": b'{"status": "finished", "metr'}


def mode(relative: str, bits: int) -> Spoil:
    """Permissions of what matches; all else may be read and written by anybody."""

    def spoil(here: Path) -> None:
        for path in [here, *here.rglob("*")]:
            path.chmod(0o777)
        for path in here.glob(relative):
            path.chmod(bits)

    return spoil


PERMISSIONS: list[tuple[str, tuple[str, int]]] = [
    ("fit", ("data/train.csv", 0o000)),
    ("fit", ("data/train_images/train_00001.png", 0o000)),
    ("fit --run.root={data}/x", ("data", 0o555)),
    ("fit {last} --trainer.max_epochs=3", ("run", 0o555)),
    ("test {last}", ("run/checkpoints/last.ckpt", 0o000)),
    ("predict {last} --data.predict_dir={data}/test_images", ("data/test_images", 0o000)),
]
