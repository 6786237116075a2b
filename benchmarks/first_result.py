"""How long it takes from the start of Python to the first result, beside what torch alone takes.

python benchmarks/first_result.py [--run runs/aoi/2026-11-24_21-36-36]

The baseline imports torch and torchvision, and sends one image through the same network with random
weights. Each case is a process of its own; they take turns. Prints Markdown. Without ``--run`` a
model is trained on the sample for one step.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent

BASELINE = """
import torch, torchvision
network = torchvision.models.resnet18(weights=None).eval()
with torch.inference_mode():
    network(torch.zeros(1, 3, 224, 224))
"""
LOAD = """
import sys
from inference import load
print(load(sys.argv[1], device="cpu").predict(sys.argv[2]).label)
"""
CLI = ["cli.py", "predict", "--config=configs/aoi.yaml", "--trainer.enable_progress_bar=false"]


def timed(*command: str) -> float:
    """Seconds that a Python process takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def train(root: str) -> Path:
    """A run of one step."""
    limits = [f"--trainer.limit_{part}_batches=1" for part in ("train", "val")]
    options = ["--trainer.max_epochs=1", "--model.network.weights=random", f"--run.root={root}"]
    timed("cli.py", "fit", "--config=configs/aoi.yaml", *limits, *options)
    return next(Path(root).glob("aoi/*"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--run", type=Path, help="run folder of AOI; one is trained by default")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        run = options.run.resolve() if options.run else train(folder)
        image = Path(folder, "images", "panel.png")
        image.parent.mkdir()
        Image.linear_gradient("L").resize((512, 512)).save(image)
        checkpoint = next(p for p in (run / "checkpoints").glob("*.ckpt"))
        predict = [*CLI, f"--ckpt_path={checkpoint}", f"--data.predict_dir={image.parent}"]
        cases = {
            "torch, torchvision and a forward pass": ["-c", BASELINE],
            "`load(run).predict(image)`": ["-c", LOAD, str(run), str(image)],
            "`cli.py predict`": predict,
        }
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(options.repeats + 1):
            for name, command in cases.items():
                took = timed(*command)
                if turn:  # the first one fills the file cache
                    seconds[name].append(took)
    base = median(next(iter(seconds.values())))
    print("| from the start of Python to a result | seconds | of torch |\n|---|---|---|")
    for name, values in seconds.items():
        print(f"| {name} | {median(values):.2f} | {median(values) / base:.2f} |")


if __name__ == "__main__":
    main()
