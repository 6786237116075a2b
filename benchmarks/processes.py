"""Two processes give what one gives.

python benchmarks/processes.py [--configs aoi vessels]

Each task's small data do not divide evenly; then once more with a single image to test and to
predict, so that one process has none. Every metric of validate and test must agree to 1e-6, and
predict must write the same files. "half" is `fit` on two processes with half the batch, whose
weights must agree with one process's to 1e-5; of aoi alone, whose backbone is frozen: elsewhere
BatchNorm is of each process's own part of the batch, or noise and augmentation are drawn by each
process.
Prints a Markdown table; the exit status says whether anything differs.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import forked
import kills
import tiny_data
import torch

CONFIGS = ("aoi", "vessels", "retina", "retina_best", "blots", "blots_style")
IMAGES = ("uneven", "one", "half")
TOLERANCE = 1e-6


def single(config: str, data: Path) -> None:
    """Leave one image to test and to predict."""
    if config == "aoi":
        table = data / "test.csv"
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    elif config == "blots":
        shutil.copytree(data, data / "one")
        for path in sorted((data / "one").rglob("*.png")):
            if "bg_0000" not in path.name:
                path.unlink()
    else:
        for path in sorted((data / "test").rglob("*_*.*")):
            if not path.name.startswith("01_"):
                path.unlink()


def metrics(run: Path, stage: str) -> dict[str, float]:
    """Of the newest evaluation that the run has on record."""
    record = json.loads((run / "run.json").read_text())
    return [entry for entry in record["evaluations"] if entry["stage"] == stage][-1]["metrics"]


def files(folder: Path) -> dict[str, bytes]:
    """What a prediction wrote, but its record."""
    written = (path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in written}


def compare(config: str, root: Path, one_image: bool) -> tuple[float, list[str]]:
    """The greatest difference of a metric, and all that is not as it should be."""
    here = root / f"{config}{'-1' if one_image else ''}"
    here.mkdir(parents=True)
    data = here / "data"
    shutil.copytree(tiny_data.data_of(config, root / "data"), data)
    folders = [f"--data.data_dir={data}", f"--run.root={here / 'runs'}"]
    common = [*tiny_data.options(config), *folders]
    done = forked.run(["fit", *common, "--trainer.max_epochs=1", "--run.name=a"], here)
    if done.status:
        return float("nan"), [done.output]
    run = here / "runs" / config / "a"
    more = [f"--ckpt_path={run}/checkpoints/last.ckpt"]
    if one_image:
        single(config, data)
        if config == "blots":
            more += [f"--data.test_dir={data}/one", f"--data.predict_dir={data}/one"]
    worst, mismatches = 0.0, []
    for stage in ("test",) if one_image else ("validate", "test"):
        found = []
        for start in (forked.run, forked.in_two):
            done = start([stage, *common, *more], here)
            if done.status != 0:
                return float("nan"), [*mismatches, f"{stage}: {done.output}"]
            found.append(metrics(run, stage))
        if found[0].keys() != found[1].keys():
            mismatches.append(f"{stage}: {found[0].keys() ^ found[1].keys()} in one of them")
        for name in found[0].keys() & found[1].keys():
            one, two = found[0][name], found[1][name]
            gap = 0.0 if one == two or (one != one and two != two) else abs(one - two)
            if not gap <= TOLERANCE * max(1, abs(one)):
                mismatches.append(f"{stage}: {name} is {one} and {two}")
            worst = max(worst, gap)
    written = []
    for name, start in (("one", forked.run), ("two", forked.in_two)):
        done = start(["predict", *common, *more, f"--output={here / name}"], here)
        if done.status != 0:
            return worst, [*mismatches, f"predict: {done.output}"]
        written.append(files(here / name))
    for name in written[0].keys() | written[1].keys():
        if written[0].get(name) != written[1].get(name):
            mismatches.append(f"predict: {name} differs")
    return worst, mismatches


def trained_alike(config: str, root: Path) -> tuple[float, list[str]]:
    """The greatest difference of a weight that one process and two with half the batch train."""
    weights = []
    for name, start, batch in (("one", forked.run, 8), ("two", forked.in_two, 4)):
        here = root / f"{config}-{name}"
        here.mkdir(parents=True)
        args = [
            *kills.options(config, root / "data", epochs=2),
            f"--run.root={here / 'runs'}",  # the second process has a working folder of its own
            f"--data.batch_size={batch}",
            "--trainer.limit_train_batches=4",  # the last one is smaller, and padded over two
        ]
        done = start(["fit", *args], here)
        if done.status:
            return float("nan"), [done.output]
        last = kills.finished_run(here) / "checkpoints/last.ckpt"
        weights.append(torch.load(last, weights_only=True)["state_dict"])
    gaps = {name: (weights[0][name] - weights[1][name]).abs().max() for name in weights[0]}
    mismatches = [f"{name} differs by {gap:.1e}" for name, gap in gaps.items() if not gap <= 1e-5]
    return float(max(gaps.values())), mismatches


def main() -> None:
    """Compare, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configs", nargs="+", default=CONFIGS, choices=CONFIGS)
    parser.add_argument("--images", nargs="+", default=IMAGES, choices=IMAGES)
    chosen = parser.parse_args()
    forked.warm_up()
    failed = False
    print("| config | images | greatest difference | mismatches |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="processes-") as folder:
        root = Path(folder)
        tiny_data.write_all(root / "data")
        for config in chosen.configs:
            for images in chosen.images:
                if images != "half":
                    worst, mismatches = compare(config, root, images == "one")
                elif config == "aoi":
                    worst, mismatches = trained_alike(config, root)
                else:
                    continue
                print(f"| {config} | {images} | {worst:.1e} | {len(mismatches)} |", flush=True)
                for line in mismatches:
                    print(f"    {line}", file=sys.stderr, flush=True)
                failed |= bool(mismatches)
    sys.exit(failed)


if __name__ == "__main__":
    main()
