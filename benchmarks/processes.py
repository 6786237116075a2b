"""Two processes give what one gives.

python benchmarks/processes.py [--configs aoi vessels]

Each task's small data have odd splits; then once more with a single image to test and to predict,
so that one process has none. Every metric of validate and test must agree to 1e-6, and predict must
write the same files. Prints a Markdown table; the exit status says whether anything differs.
"""

import argparse
import json
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import forked
import tiny_data

CONFIGS = ("aoi", "vessels", "retina", "retina_compress", "blots")
TOLERANCE = 1e-6


def in_two(args: list[str], here: Path) -> forked.Outcome:
    """Run a command line in two processes, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "NODE_RANK": "0",
    }
    two = [*args, "--trainer.devices=2", "--trainer.strategy=ddp"]
    other = here / "rank 1"
    other.mkdir(exist_ok=True)
    pids = [
        forked.start(two, folder, {**env, "LOCAL_RANK": str(rank)})
        for rank, folder in enumerate((here, other))
    ]
    second = forked.wait(pids[1], two, other, 120)
    first = forked.wait(pids[0], two, here, 120)
    return first if first.status or not second.status else second


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
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def compare(config: str, root: Path, one_image: bool) -> tuple[float, list[str]]:
    """The greatest difference of a metric, and all that is not as it should be."""
    here = root / f"{config}{'-1' if one_image else ''}"
    here.mkdir(parents=True)
    data = here / "data"
    shutil.copytree(tiny_data.data_of(config, root / "data"), data)
    common = [
        f"--config={forked.ROOT / 'configs' / config}.yaml",
        f"--data.data_dir={data}",
        f"--run.root={here / 'runs'}",
        "--run.wandb=disabled",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.enable_progress_bar=false",
        *tiny_data.SMALL[config],
    ]
    done = forked.run(["fit", *common, "--trainer.max_epochs=1", "--run.name=a"], here)
    if done.status:
        return float("nan"), [done.output]
    run = here / "runs" / config / "a"
    more = [f"--ckpt_path={run}/checkpoints/last.ckpt"]
    if one_image:
        single(config, data)
        if config == "blots":
            more += [f"--data.test_dir={data}/one", f"--data.predict_dir={data}/one"]
    worst, odd = 0.0, []
    for stage in ("test",) if one_image else ("validate", "test"):
        found = []
        for start in (forked.run, in_two):
            done = start([stage, *common, *more], here)
            if done.status != 0:
                return float("nan"), [*odd, f"{stage}: {done.output}"]
            found.append(metrics(run, stage))
        if found[0].keys() != found[1].keys():
            odd.append(f"{stage}: {found[0].keys() ^ found[1].keys()} in one of them")
        for name in found[0].keys() & found[1].keys():
            one, two = found[0][name], found[1][name]
            gap = 0.0 if one == two or (one != one and two != two) else abs(one - two)
            if not gap <= TOLERANCE * max(1, abs(one)):
                odd.append(f"{stage}: {name} is {one} and {two}")
            worst = max(worst, gap)
    written = []
    for name, start in (("one", forked.run), ("two", in_two)):
        done = start(["predict", *common, *more, f"--output={here / name}"], here)
        if done.status != 0:
            return worst, [*odd, f"predict: {done.output}"]
        written.append(files(here / name))
    for name in written[0].keys() | written[1].keys():
        if written[0].get(name) != written[1].get(name):
            odd.append(f"predict: {name} differs")
    return worst, odd


def main() -> None:
    """Compare, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configs", nargs="+", default=CONFIGS, choices=CONFIGS)
    parser.add_argument("--images", nargs="+", default=["odd", "one"], choices=["odd", "one"])
    chosen = parser.parse_args()
    forked.warm_up()
    failed = False
    print("| config | images | greatest difference | mismatches |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="processes-") as folder:
        root = Path(folder)
        tiny_data.write_all(root / "data")
        for config in chosen.configs:
            for images in chosen.images:
                worst, odd = compare(config, root, images == "one")
                print(f"| {config} | {images} | {worst:.1e} | {len(odd)} |", flush=True)
                for line in odd:
                    print(f"    {line}", file=sys.stderr, flush=True)
                failed |= bool(odd)
    sys.exit(failed)


if __name__ == "__main__":
    main()
