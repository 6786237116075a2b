"""Trainings that lose their disk, their folder or their server, and predictions that are killed.

python benchmarks/resources.py [--only disk]

Linux only. In each case nothing that was trained is lost, no file is left half written, and a
person sees one line. Prints a Markdown table; the exit status says whether anything is wrong.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import forked
import tiny_data
import torch
from kills import differences, finished_run, options
from PIL import Image

CONFIG = "vessels_best"
EPOCHS = 6
NOBODY = 65534


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Until ``condition`` holds.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the run did not get so far")
        time.sleep(0.01)


def interrupted_and_resumed(
    root: Path,
    name: str,
    harm: Callable[[int, Path], object],
    heal: Callable[[Path], object] = lambda run: None,
    before: Callable[[], object] | None = None,
) -> list[str]:
    """A training that is harmed after its first epoch, healed, and resumed, beside a whole one."""
    args = options(CONFIG, root / "data", EPOCHS)
    whole, here = root / "whole", root / name
    if not whole.exists():
        whole.mkdir()
        forked.run(["fit", *args], whole)
    here.mkdir()
    here.chmod(0o777)

    pid = forked.start(["fit", *args], here, before=before)
    wait_for(lambda: list(here.glob("runs/*/*/checkpoints/last.ckpt")))
    run = finished_run(here)
    harm(pid, run)
    ended = forked.wait(pid, args, here, 120)
    good = ended.status == 1 and ended.output.count("error: ") == 1
    wrong = [] if good and "Traceback" not in ended.output else [ended.output[-2000:]]
    heal(run)
    torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    (here / "output.txt").unlink()
    pid = forked.start(["fit", *args, "--ckpt_path=last"], here, before=before)
    done = forked.wait(pid, args, here, 120)
    if done.status:
        return [*wrong, f"resume: {done.output[-2000:]}"]
    return wrong + differences(finished_run(whole), run)


def full_disk(root: Path) -> list[str]:
    """No file may grow any more: what a full disk does to a file that is being written."""
    # More than what the run says, less than a checkpoint.
    limits = (20_000, resource.RLIM_INFINITY)
    return interrupted_and_resumed(
        root, "full disk", lambda pid, run: resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    )


def read_only(root: Path) -> list[str]:
    """The run folder and all in it is made read-only."""

    def modes(run: Path, mode: int) -> None:
        for folder in (run, *(path for path in run.rglob("*") if path.is_dir())):
            folder.chmod(mode)

    harm, heal = lambda pid, run: modes(run, 0o555), lambda run: modes(run, 0o777)
    before = lambda: os.geteuid() or os.setuid(NOBODY)  # noqa: E731  # root, whom none stops
    return interrupted_and_resumed(root, "read-only", harm, heal, before)


def silent_server(root: Path) -> list[str]:
    """A W&B server accepts connections and never answers."""
    here = root / "server"
    here.mkdir()
    args = [arg for arg in options(CONFIG, root / "data", EPOCHS) if "wandb" not in arg]
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        env = {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40}
        env["WANDB_BASE_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = forked.run(["fit", *args], here, env, timeout=400)
    if done.status:
        return [f"status {done.status}: {done.output[-2000:]}"]
    print(f"    beside a silent server: {done.seconds:.0f} s", file=sys.stderr)
    return []


def killed_prediction(root: Path, times: int = 5) -> list[str]:
    """`predict` on 1,000 images gets SIGKILL half-way."""
    here = root / "predict"
    here.mkdir()
    args = options(CONFIG, root / "data", 1)
    forked.run(["fit", *args], here)
    images = here / "images"
    images.mkdir()
    photograph = next((root / "data/drive/test/images").iterdir())
    for number in range(1000):
        os.link(photograph, images / f"{number:04d}.tif")
    args = [*args, "--ckpt_path=last", f"--data.predict_dir={images}"]
    wrong = []
    for number in range(times):
        output = here / f"output {number}"
        pid = forked.start(["predict", *args, f"--output={output}"], here)
        wait_for(lambda output=output: len(list(output.glob("*.png"))) > 20)
        time.sleep(random.uniform(0, 1.5))
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if (output / "predictions.csv").exists():
            wrong.append("predictions.csv of a prediction that was killed")
        for path in output.rglob("[!.]*.png"):
            try:
                Image.open(path).load()
            except OSError as error:
                wrong.append(f"{path.name}: {error}")
        shutil.rmtree(output)
    return wrong


CASES = {
    "disk full in the middle of a run": full_disk,
    "run folder made read-only": read_only,
    "a W&B server that never answers": silent_server,
    "predictions killed half-way": killed_prediction,
}


def main() -> None:
    """Run the cases, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="cases whose name holds this")
    chosen = parser.parse_args()
    forked.warm_up()
    failed = False
    print("| what is lost | result |\n|---|---|")
    with tempfile.TemporaryDirectory(prefix="resources-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        tiny_data.write_all(root / "data")
        for name, case in CASES.items():
            if chosen.only not in name:
                continue
            wrong = case(root)
            print(f"| {name} | {'; '.join(wrong) or 'as it should be'} |", flush=True)
            failed |= bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
