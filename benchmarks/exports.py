"""Every config exported to every format, full size: seconds, size, and parity with its checkpoint.

    python benchmarks/exports.py [aoi vessels ...]

Each network has the config's own size and trains for two steps on the built-in sample, which is
enough to compare: an export computes what its checkpoint does, good or bad. Prints Markdown.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from cli import main as run_cli
from common.errors import DataError
from inference.export import FILES, export

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
SHORT = [
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.enable_progress_bar=false",
    "--data.num_workers=0",
]


def train(config: str, root: Path) -> Path:
    """The folder of a run of two steps."""
    path = ROOT / "configs" / f"{config}.yaml"
    os.environ["WANDB_MODE"] = "disabled"
    sys.argv = ["cli.py"]
    run_cli(["fit", f"--config={path}", f"--run.root={root}", "--run.name=run", *SHORT])
    return root / config / "run"


def row(run: Path, kind: str) -> str:
    """Of the table: one export of one run."""
    start = time.perf_counter()
    try:
        folder = export(run, kind, run / kind)
    except DataError as error:
        return f"| {run.parent.name} | {kind} | {error} | | | |"
    seconds = time.perf_counter() - start
    file = folder / FILES[kind]
    (card,) = folder.glob("*.json")
    parity = json.loads(card.read_text(encoding="utf-8"))["parity"]
    images = parity.pop("images")
    text = ", ".join(f"{name} {value:.3g}" for name, value in parity.items())
    size = file.stat().st_size / 2**20
    return f"| {run.parent.name} | {kind} | {seconds:.0f} s | {size:.1f} MiB | {images} | {text} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for config in options.configs:
            run = train(config, Path(scratch))
            rows += [row(run, kind) for kind in FILES]
            print(rows[-len(FILES) :], file=sys.stderr, flush=True)
    print("| config | format | time | size | images | parity with the checkpoint |")
    print("|---|---|---|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
