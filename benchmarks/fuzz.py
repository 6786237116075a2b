"""Mutations of the files that a stranger may send: each is read or refused in one line.

python benchmarks/fuzz.py [--count 2000] [--only png avif]

Classes: read, line (DataError), traceback, hang (above 10 s), costly (above 2 GB of memory).
Prints a Markdown table and the mutations that end in one of the last three; the exit status says
whether there are any. POSIX only.
"""

import argparse
import io
import json
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import tifffile
import torch
from PIL import Image

from common.config_file import read_section
from common.errors import DataError
from datamodules.images import read_image
from experiment.checkpoints import read_checkpoint
from inference.infer_onnx import check

ROOT = Path(__file__).parent.parent
MAX_SECONDS, MAX_BYTES = 10, 2 * 10**9
CLASSES = ("read", "line", "traceback", "hang", "costly")


def targets() -> dict[str, tuple[Callable[[Path], object], list[bytes]]]:
    """By suffix: what reads a path, and good files to begin with."""
    color = np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    floats = io.BytesIO()
    tifffile.imwrite(floats, color.astype(np.float32), photometric="rgb")

    def encoded(kind: str, image: np.ndarray = color, **options: object) -> bytes:
        file = io.BytesIO()
        Image.fromarray(image).save(file, kind, **options)
        return file.getvalue()

    images = {
        "png": [encoded("PNG"), encoded("PNG", color[..., 0].astype(np.uint16) * 257)],
        "jpg": [encoded("JPEG"), encoded("JPEG", progressive=True)],
        "tif": [encoded("TIFF"), encoded("TIFF", compression="tiff_lzw"), floats.getvalue()],
        "avif": [encoded("AVIF")],
        "gif": [encoded("GIF", color[..., 0])],
        "webp": [encoded("WEBP")],
        "jp2": [encoded("JPEG2000")],
    }
    found = {name: (lambda path: read_image(path, "RGB"), images[name]) for name in images}
    card = {"task": "aoi", "mode": "L", "inputs": {"pixels": "uint8 (N, H, W)"}}
    card |= {"outputs": ["probabilities"], "labels": [0], "review_below": 0.5}
    card |= {"class_names": ["a"], "tables": {"predictions": ["ID", "Label"]}}
    file = io.BytesIO()
    settings = {"_class_path": "lit_models.BlotGAN", "network": {"widths": [4, 8]}, "names": ["a"]}
    content = {"pytorch-lightning_version": "2.6", "state_dict": {"a": torch.zeros(9)}}
    torch.save(content | {"hyper_parameters": settings, "callbacks": {}}, file)
    with ZipFile(file) as archive:
        pickled = archive.read("archive/data.pkl")
    config = (ROOT / "configs" / "aoi.yaml").read_bytes()
    return found | {
        "pkl": (_read_checkpoint, [pickled]),
        "yaml": (lambda path: read_section(str(path), "run"), [config]),
        "json": (_check_card, [json.dumps(card).encode()]),
    }


def _read_checkpoint(path: Path) -> None:
    """A checkpoint with these bytes as its structure, and a checksum that agrees."""
    whole = path.with_suffix(".ckpt")
    with ZipFile(whole, "w") as archive:
        archive.writestr("archive/data.pkl", path.read_bytes())
        archive.writestr("archive/data/0", bytes(36))
        archive.writestr("archive/version", "3\n")
    read_checkpoint(whole)


def _check_card(path: Path) -> None:
    try:
        check(json.loads(path.read_bytes()), ["pixels"], ["probabilities"])
    except ValueError as error:  # what infer_onnx.py makes a line of
        raise DataError(str(error).replace("\n", " ")) from None


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A changed copy; every second change is where headers lie."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(min(len(changed), int(rng.choice([200, len(data)])))))
        size = int(rng.integers(1, 65))
        edits = [
            (at + 1, bytes([int(rng.integers(256))])),
            (at + 4, bytes([int(rng.choice([0, 127, 255]))] * 4)),
            (at + size, rng.bytes(size)),
            (at, bytes(changed[at : at + size]) * int(rng.integers(1, 9))),
            (at + size if rng.random() < 0.8 else len(changed), b""),
        ]
        end, piece = edits[rng.integers(len(edits))]
        changed[at:end] = piece
        changed = changed or bytearray(1)
    return bytes(changed)


def run(name: str, numbers: range, sender: Connection) -> None:
    """Read mutations of a target, in a process of its own; sends the class of each."""
    read, seeds = targets()[name]
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            path = Path(folder, f"x.{name}")
            seed = seeds[number % len(seeds)]
            path.write_bytes(mutated(seed, np.random.default_rng(number)))
            signal.alarm(MAX_SECONDS)  # whose default ends a hang in C, too
            try:
                read(path)
                kind = "read"
            except DataError as error:
                kind = "line" if "\n" not in str(error) else "traceback"
            except Exception as error:
                kind = "traceback"
                print(f"{name} {number}: {type(error).__name__}: {error}", flush=True)
            signal.alarm(0)
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MAX_BYTES:
                sender.send("costly")
                return
            sender.send(kind)


def fuzz(name: str, count: int) -> list[str]:
    """The class of each mutation of a target."""
    kinds = list[str]()
    while len(kinds) < count:
        receiver, sender = Pipe(duplex=False)
        process = Process(target=run, args=(name, range(len(kinds), count), sender))
        process.start()
        sender.close()
        with suppress(EOFError):
            while True:
                kinds.append(receiver.recv())
        process.join()
        if process.exitcode:  # a crash in C counts as a traceback
            kinds.append("hang" if process.exitcode == -signal.SIGALRM else "traceback")
    return kinds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", nargs="+", choices=list(targets()), default=list(targets()))
    options = parser.parse_args()
    print(f"| file | {' | '.join(CLASSES)} |\n|{'---|' * (len(CLASSES) + 1)}", flush=True)
    bad = []
    for name in options.only:
        kinds = fuzz(name, options.count)
        bad += [f"{name} {i}: {kind}" for i, kind in enumerate(kinds) if kind in CLASSES[2:]]
        print(f"| {name} | {' | '.join(str(kinds.count(kind)) for kind in CLASSES)} |", flush=True)
    sys.exit("\n".join(bad) or 0)
