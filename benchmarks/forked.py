"""The real command line in processes of its own that need not import anything first."""

import faulthandler
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

# What a run imports on its way, beside what cli.py does.
ON_THE_WAY = (
    "datamodules.aoi",
    "datamodules.blots",
    "datamodules.drive",
    "lit_models.defect_classifier",
    "lit_models.vessel_segmenter",
    "lit_models.blot_gan",
    "lit_models.networks.torchvision_classifier",
    "callbacks.figures.aoi",
    "callbacks.figures.vessels",
    "callbacks.figures.retina",
    "callbacks.figures.blots",
    "matplotlib.backends.backend_agg",
    "encodings.unicode_escape",
    "encodings.utf_8_sig",
    "pandas",
)


@dataclass(frozen=True)
class Outcome:
    """How a run of the command line ended."""

    args: Sequence[str]
    status: int | None  # None: it did not end in time and was killed; negative: by a signal
    output: str  # stdout and stderr
    seconds: float
    memory: float  # largest resident set in GiB


def warm_up() -> None:
    """Import all that a run needs; to be called before any thread is started."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in ("cli", *ON_THE_WAY):
        import_module(name)
    # Too late for the variable where torch was there before; a child of a process whose OpenMP has
    # threads waits for them for ever.
    import_module("torch").set_num_threads(1)


def start(
    args: Sequence[str],
    folder: Path,
    env: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
) -> int:
    """Start ``cli.py`` with these arguments in ``folder``; returns the process id.

    The process leads a group of its own; what it writes goes to ``folder/output.txt``. It first
    calls ``before``.
    """
    pid = os.fork()
    if pid == 0:
        _run(args, folder, env or {}, before or (lambda: None))
    return pid


def wait(pid: int, args: Sequence[str], folder: Path, timeout: float) -> Outcome:
    """Wait until a process that `start` started ends, or kill its group."""
    begun = time.monotonic()
    status: int | None = None
    done, code, usage = os.wait4(pid, os.WNOHANG)
    while not done and time.monotonic() < begun + timeout:
        time.sleep(0.02)
        done, code, usage = os.wait4(pid, os.WNOHANG)
    if done:
        status = os.waitstatus_to_exitcode(code)
    else:
        os.killpg(pid, signal.SIGABRT)  # it writes where it hangs
        time.sleep(1)
        os.killpg(pid, signal.SIGKILL)
        _, _, usage = os.wait4(pid, 0)
    output = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
    return Outcome(args, status, output, time.monotonic() - begun, usage.ru_maxrss / 2**20)


def run(
    args: Sequence[str],
    folder: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
    before: Callable[[], object] | None = None,
) -> Outcome:
    """`start` and `wait`."""
    return wait(start(args, folder, env, before), args, folder, timeout)


def in_two(args: Sequence[str], folder: Path, timeout: float = 120) -> Outcome:
    """`run` in two processes: how the first ended, or the second if that alone failed."""
    # Below the ports that the kernel gives to others: of a port that one of them takes meanwhile
    # the first process says so, and the second waits for it in vain.
    port = str(20_000 + secrets.randbelow(12_000))
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "x"}
    env |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
    two = [*args, "--trainer.devices=2", "--trainer.strategy=ddp"]
    other = folder / "rank 1"
    other.mkdir(exist_ok=True)
    pids = [
        start(two, where, {**env, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank, where in enumerate((folder, other))
    ]
    second = wait(pids[1], two, other, timeout)
    first = wait(pids[0], two, folder, timeout)
    if first.status or not second.status:
        return replace(first, output=second.output + first.output)
    return second


def _run(
    args: Sequence[str], folder: Path, env: Mapping[str, str], before: Callable[[], object]
) -> None:
    """What the new process does; it does not return."""
    status = 1
    try:
        os.setsid()
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)  # not pytest's
        faulthandler.enable()
        os.chdir(folder)
        os.environ.update(env)
        before()
        sys.argv[:] = [str(ROOT / "cli.py"), *args]
        import_module("commandline.verbs").run()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
