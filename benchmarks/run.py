"""Run all speed benchmarks and write docs/benchmarks.md.

Half an hour on 2 cores with bf16, 67 minutes on two without.

python benchmarks/run.py --data ../shared/data

``--data`` is what benchmarks/training.py takes; without it the plain loops are left out. Nothing
else should run on the machine meanwhile. What the tables mean is in docs/speed.md.
"""

import argparse
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from experiment.atomic import atomic_write
from experiment.hardware import native_memory_format, native_precision
from experiment.provenance import git_revision, machine

ROOT = Path(__file__).parent.parent
TITLES = {
    "training": "Training: the plain loop beside the shipped config",
    "startup": "Start-up",
    "inference": "Inference",
    "scaling": "Scaling",
    "accelerator": "Every config on the accelerator at hand",
}


def main() -> None:
    """Run the scripts one after the other, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks.md")
    options = parser.parse_args()
    start = time.monotonic()
    sections = []
    for name, title in TITLES.items():
        if name == "training" and options.data is None:
            continue
        more = [f"--data={options.data}"] if name == "training" else []
        print(f"{name} ...", flush=True)
        command = [sys.executable, f"benchmarks/{name}.py", *more]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        table = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            table += line
        if process.wait():
            sys.exit(f"benchmarks/{name}.py failed; {options.output} is left as it was")
        sections.append(f"## {title}\n\n`benchmarks/{name}.py`\n\n{table}")
    device = torch.device("cpu")
    head = (
        "# Benchmarks\n\n"
        "Written by `python benchmarks/run.py --data ../shared/data`; read with "
        "[speed.md](speed.md).\n\n"
        f"{date.today()}, revision {git_revision()}, {machine()}, torch {torch.__version__}, "
        f"{native_precision('cpu')}, {native_memory_format(device)}; "
        f"{(time.monotonic() - start) / 60:.0f} minutes.\n"
    )
    with atomic_write(options.output) as tmp_path:
        tmp_path.write_text("\n".join([head, *sections]))
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
