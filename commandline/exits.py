"""How a process ends: one line for what is wrong with the input, and a status that tells why.

==============  ====================================================
0               done
1               bad data, see `DataError`; a path that is refused; or a bug, with its traceback
2               bad option or config, see `UsageError`
129, 130, 143   stopped by SIGHUP, by Ctrl-C, by SIGTERM
==============  ====================================================
"""

import errno
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from common.errors import DataError, UsageError

# Errors of the operating system that the user can do something about.
REFUSED = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.EROFS}
FULL = {errno.ENOSPC, errno.EDQUOT}
SIGNALS = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
PATIENCE = 5.0  # seconds until another process's error is known
LAST_PATIENCE = 30.0  # seconds until rank 0 has ended


def run_and_exit(main: Callable[[], object]) -> NoReturn:
    """Run ``main`` and end this process as the table above says.

    Of several processes that train together, the first one with an error prints its line. A bug's
    traceback is printed by each process that has it.
    """
    stopped: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.append(signum)
        if len(stopped) == 1:
            raise KeyboardInterrupt

    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup and background jobs set it
            signal.signal(signum, stop)
    if "WORLD_SIZE" not in os.environ:  # another program has left them
        for name in ("RANK", "LOCAL_RANK"):
            os.environ.pop(name, None)
    launched = "LOCAL_RANK" in os.environ  # by rank 0 or torchrun
    parent = os.getppid() if launched else os.getpid()
    claim = Path(tempfile.gettempdir(), f"lightning-image-tasks-{parent}")
    status = 0
    try:
        _check_ranks()
        if os.environ.get("LOCAL_RANK", "0") == "0":
            claim.unlink(missing_ok=True)
        try:
            main()
        finally:
            sys.stdout.flush()
    except (KeyboardInterrupt, SystemExit) as error:
        status = int(getattr(error, "code", 1) or 0)
        if isinstance(error.__context__, KeyboardInterrupt) and not stopped:
            stopped.append(signal.SIGINT)  # by another handler, such as a debugger's
    except Exception as error:
        status = 2 if isinstance(error, UsageError) else 1
        if not stopped:
            _report(error, claim)
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    if status and launched:
        _wait_for_rank_zero(parent)
    if stopped and not launched:
        print(f"stopped by {signal.Signals(stopped[0]).name}", file=sys.stderr, flush=True)
    sys.exit(128 + stopped[0] if stopped else status)


def _check_ranks() -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        if not (value := os.environ.get(name, "0")).isdecimal():
            raise UsageError(f"{name}={value}: must be a whole number; unset it, or use torchrun")


def _report(error: Exception, claim: Path) -> None:
    """Print what is wrong, unless another process of this training has done so."""
    if isinstance(error, OSError) and error.filename is None:  # a pipe that is closed, a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # which is flushed at the exit
    if isinstance(error, BrokenPipeError):
        return
    line, first = _line_of(error), True
    if "WORLD_SIZE" in os.environ:
        end = time.monotonic() + PATIENCE
        lost = line is None and isinstance(error, RuntimeError)  # perhaps only the connection
        while lost and not claim.exists() and time.monotonic() < end:
            time.sleep(0.1)
        if lost and claim.exists():
            return
        try:
            claim.touch(exist_ok=False)
        except FileExistsError:
            first = False
    if line is None:
        traceback.print_exception(error)
    elif first:
        print(f"error: {line}", file=sys.stderr, flush=True)


def _line_of(error: Exception) -> str | None:
    """The line for the user; None for a bug, which needs its traceback."""
    if isinstance(error, DataError):
        line = str(error)
    elif isinstance(error, OSError) and error.errno in FULL:
        line = f"{error.filename or 'output'}: {error.strerror}; free some space"
    elif isinstance(error, OSError) and error.filename and error.errno in REFUSED:
        line = f"{error.filename}: {error.strerror}; change that or give another path"
    else:
        return None
    # A file's name may contain line breaks.
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], line)


def _wait_for_rank_zero(parent: int) -> None:
    """Let rank 0 end first: Lightning kills it where it is found alive without the others."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_initialized():
        distributed.destroy_process_group()  # what rank 0 waits for will not come
    end = time.monotonic() + (0 if "TORCHELASTIC_RUN_ID" in os.environ else LAST_PATIENCE)
    while os.getppid() == parent and time.monotonic() < end:
        time.sleep(0.1)
