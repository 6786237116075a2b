"""Nothing wrong, nothing lost, one clear line: all parts, and docs/reliability.md.

python benchmarks/reliability.py [bad_inputs kills processes agents resources]

Without names all parts run, which takes an hour or so; with names those alone, and nothing is
written. Each part is a script of its own with options of its own.
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
from experiment.provenance import git_revision, machine

ROOT = Path(__file__).parent.parent
PARTS: dict[str, tuple[str, list[str]]] = {
    "bad_inputs": ("Bad inputs", []),
    "processes": ("One process and two", []),
    "agents": ("Two nodes, one of them killed", []),
    "resources": ("Lost resources", []),
    "kills": ("Killed and resumed", ["--times=20"]),
}


def main() -> None:
    """Run the parts one after the other, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--output", type=Path, default=ROOT / "docs/reliability.md")
    options = parser.parse_args()
    start = time.monotonic()
    sections, failed = [], []
    for name in options.parts or PARTS:
        title, more = PARTS[name]
        command = [sys.executable, f"benchmarks/{name}.py", *more]
        print(f"{' '.join(command[1:])} ...", flush=True)
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        table = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            table += line
        if process.wait():
            failed.append(name)
        doc = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
        about = doc.strip().split("\n\n")[-1]
        sections.append(f"## {title}\n\n`{' '.join(command[1:])}`\n\n{about}\n\n{table.rstrip()}\n")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    if options.parts:
        return
    head = (
        "# Reliability\n\n"
        "Written by `python benchmarks/reliability.py`; a small form of each part is in tests/.\n\n"
        f"{date.today()}, revision {git_revision()}, {machine()}, torch {torch.__version__}; "
        f"{(time.monotonic() - start) / 60:.0f} minutes.\n"
    )
    with atomic_write(options.output) as tmp_path:
        tmp_path.write_text("\n".join([head, *sections]), encoding="utf-8")
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
