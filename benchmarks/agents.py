"""Two torchrun agents over loopback, as two nodes would be, of which one is killed.

python benchmarks/agents.py [--config aoi]

They train into one folder; in the third epoch one agent and its process get SIGKILL. The other must
end by itself, leave whole checkpoints, and go on with ``--ckpt_path last`` and a new partner:
weights, optimizer states and ``metrics.csv`` equal those of two agents that nobody killed, bit for
bit. Linux only. Prints a Markdown table; the exit status says whether anything differs.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import forked
import kills
import tiny_data
import torch

EPOCHS = 6


def start(args: list[str], here: Path) -> list[subprocess.Popen]:
    """Both agents with the command line ``args``, each with a log in ``here``."""
    port = forked.free_port()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    agents = []
    for node in range(2):
        run = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
        where = [f"--node_rank={node}", "--master_addr=127.0.0.1", f"--master_port={port}"]
        two = ["--trainer.num_nodes=2", "--trainer.devices=1", "--trainer.strategy=ddp"]
        command = [*run, *where, str(forked.ROOT / "cli.py"), "fit", *args, *two]
        with (here / f"agent {node}.txt").open("a") as log:
            agents.append(subprocess.Popen(command, cwd=here, env=env, stdout=log, stderr=log))
    return agents


def family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def statuses(agents: list[subprocess.Popen], seconds: float) -> list[int | None]:
    """How both ended; None: not in time, and was killed."""
    end = time.monotonic() + seconds
    found: list[int | None] = []
    for agent in agents:
        try:
            found.append(agent.wait(max(1, end - time.monotonic())))
        except subprocess.TimeoutExpired:
            for pid in list(family(agent.pid)):
                os.kill(pid, signal.SIGKILL)
            found.append(None)
    return found


def logs(here: Path) -> str:
    """What the agents wrote last."""
    return "\n".join(path.read_text()[-2000:] for path in sorted(here.glob("agent *.txt")))


def kill_one(args: list[str], here: Path, seconds: float) -> list[str]:
    """Train until the third epoch, kill the second agent; what is not as it should be."""
    agents = start(args, here)
    end = time.monotonic() + seconds
    while agents[0].poll() is None and time.monotonic() < end:
        tables = [*here.glob("runs/*/*/metrics.csv")]
        if any(line.startswith("2,") for t in tables for line in t.read_text().splitlines()):
            break
        time.sleep(0.02)
    if agents[0].poll() is not None:
        return [f"the agents had ended before one was killed: {logs(here)}"]
    for pid in list(family(agents[1].pid)):
        os.kill(pid, signal.SIGKILL)
    first, _ = statuses(agents, seconds)
    odd = [] if first else [f"the other agent's status is {first}: {logs(here)}"]
    for path in here.glob("runs/*/*/checkpoints/[!.]*.ckpt"):
        try:
            torch.load(path, weights_only=True)
        except Exception as error:  # any means that the file is not whole
            odd.append(f"{path.name}: {error}")
    return odd


def main() -> None:
    """Train, kill, resume, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", default="aoi", choices=kills.CONFIGS)
    parser.add_argument("--seconds", type=float, default=300, help="that a training may take")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agents-") as folder:
        root = Path(folder)
        tiny_data.write_all(root / "data")
        args = kills.options(chosen.config, root / "data", EPOCHS)
        whole, killed = root / "whole", root / "killed"
        for here in (whole, killed):
            here.mkdir()
        odd = []
        if statuses(start(args, whole), chosen.seconds) != [0, 0]:
            odd.append(f"two agents do not train: {logs(whole)}")
        else:
            odd += kill_one(args, killed, chosen.seconds)
            resumed = start([*args, "--ckpt_path=last"], killed)
            if statuses(resumed, chosen.seconds) != [0, 0]:
                odd.append(f"they do not go on: {logs(killed)}")
            else:
                runs = (kills.finished_run(here) for here in (whole, killed))
                odd += kills.differences(*runs)
    print("| config | agents | killed | mismatches |\n|---|---|---|---|")
    print(f"| {chosen.config} | 2 | 1 | {len(odd)} |")
    print("\n".join(odd), file=sys.stderr)
    sys.exit(bool(odd))


if __name__ == "__main__":
    main()
