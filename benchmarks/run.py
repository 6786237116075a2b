"""Run all benchmarks of speed or of reliability and write their page.

    python benchmarks/run.py speed --data ../shared/data
    python benchmarks/run.py reliability

Speed (docs/benchmarks.md) takes half an hour on 2 cores with bf16, 67 minutes on two without;
nothing else should run on the machine meanwhile. ``--data`` is what benchmarks/training.py takes;
without it the plain loops are left out. Reliability (docs/reliability.md) takes an hour.
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
from experiment.hardware import git_revision, machine, native_memory_format, native_precision

ROOT = Path(__file__).parent.parent
PAGES = {
    "speed": ("Benchmarks", "docs/benchmarks.md"),
    "reliability": ("Reliability", "docs/reliability.md"),
}
SCRIPTS = {
    "speed": {
        "training.py": "Training: the plain loop beside the shipped config",
        "inference.py": "Inference",
        "scaling.py": "Start-up and scaling",
        "accelerator.py": "Every config on the accelerator at hand",
    },
    "reliability": {
        "bad_inputs.py": "Bad inputs",
        "fuzz.py": "Mutated files",
        "processes.py": "One process and two",
        "resources.py": "Lost resources",
        "kills.py --times=20": "Killed and resumed",
    },
}


def section(script: str, title: str, more: list[str]) -> tuple[str, bool]:
    """What a script says of itself and prints, and whether it succeeded."""
    name, *options = script.split()
    print(f"{script} ...", flush=True)
    command = [sys.executable, f"benchmarks/{name}", *options, *more]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    table = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        table += line
    doc = (ROOT / "benchmarks" / name).read_text(encoding="utf-8").split('"""')[1]
    about = doc.strip().split("\n\n")[-1]
    text = f"## {title}\n\n`benchmarks/{script}`\n\n{about}\n\n{table.rstrip()}\n"
    return text, process.wait() == 0


def main() -> None:
    """Run the scripts one after the other, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("page", choices=PAGES)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    start = time.monotonic()
    sections, failed = [], []
    for script, title in SCRIPTS[options.page].items():
        more = [f"--data={options.data}"] if script == "training.py" else []
        if more and not options.data:
            continue
        text, good = section(script, title, more)
        sections.append(text)
        failed += [] if good else [script]
    title, page = PAGES[options.page]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; {page} is left as it was")
    head = (
        f"# {title}\n\nWritten by `python benchmarks/run.py {options.page}`.\n\n"
        f"{date.today()}, revision {git_revision()}, {machine()}, torch {torch.__version__}, "
        f"{native_precision('cpu')}, {native_memory_format(torch.device('cpu'))}; "
        f"{(time.monotonic() - start) / 60:.0f} minutes.\n"
    )
    with atomic_write(ROOT / page) as tmp_path:
        tmp_path.write_text("\n".join([head, *sections]), encoding="utf-8")
    print(f"written: {page}")


if __name__ == "__main__":
    main()
