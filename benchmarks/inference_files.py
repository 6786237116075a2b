"""From image files to answers: the ways to use a trained run, timed with decoding and writing.

    python benchmarks/inference_files.py RUN --images FOLDER [--count 200]

The images of ``FOLDER`` are linked under new names until there are ``--count``. The ways:
``load(RUN).predict`` in a plain loop over the images and of the whole folder, the same of an
exported ONNX, and the programs ``cli.py predict`` and ``infer_onnx.py``, whose start counts and
whose answers are files. On the CPU in float32. Blots, whose inputs are pairs, are not
timed. Prints Markdown.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.images import list_images
from experiment.hardware import keep_freed_memory
from inference import export, load

ROOT = Path(__file__).parent.parent


def linked(images: Path, folder: Path, count: int) -> list[Path]:
    """``count`` links to the images of a folder."""
    files = []
    for number, path in enumerate(islice(cycle(list_images(images)), count)):
        files.append(folder / f"{number:05d}_{path.name}")
        os.symlink(path.resolve(), files[-1])
    return files


def run_program(*command: str) -> None:
    """Run it; on failure end with what it said."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")


def ways(run: Path, files: list[Path], scratch: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each way by name, ready to be timed."""
    folder = files[0].parent
    model = load(run, device="cpu", precision="32-true")
    exported = export.export(run, "onnx", scratch / "export")
    onnx = load(exported / "model.onnx")
    yield "`load(RUN).predict`, one by one", lambda: [model.predict(path) for path in files]
    yield "`load(RUN).predict`", lambda: list(model.predict(folder))
    yield '`load("model.onnx").predict`', lambda: list(onnx.predict(folder))
    yield (
        "`cli.py predict`",
        lambda: run_program(
            "cli.py",
            "predict",
            f"--config={run / 'config.yaml'}",
            f"--ckpt_path={run}",
            f"--data.predict_dir={folder}",
            f"--output={scratch / 'predicted'}",
            "--trainer.accelerator=cpu",
            "--trainer.precision=32-true",
        ),
    )
    yield (
        "`infer_onnx.py`",
        lambda: run_program(
            str(exported / "infer_onnx.py"), str(folder), f"--output={scratch / 'inferred'}"
        ),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run's folder, with a finished training")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "images").mkdir()
        files = linked(options.images, scratch / "images", options.count)
        print(f"{len(files)} images\n\n| way | seconds | images/s |\n|---|---|---|", flush=True)
        for way, call in ways(options.run.resolve(), files, scratch):
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            print(f"| {way} | {seconds:.1f} | {len(files) / seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
