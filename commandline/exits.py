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
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from common.errors import DataError, UsageError

# Errors of the operating system that the user can do something about.
REFUSED = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.EROFS}
REFUSED |= {errno.ENOSPC, errno.EDQUOT}
SIGNALS = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}


def run_and_exit(main: Callable[[], object]) -> NoReturn:
    """Run ``main`` and end this process as the table above says."""
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
    parent = os.getppid()
    status = 0
    try:
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            if not (value := os.environ.get(name, "0")).isdecimal():
                raise UsageError(f"{name}={value}: must be a whole number; unset it")
        main()
        sys.stdout.flush()
    except (KeyboardInterrupt, SystemExit) as error:
        status = int(getattr(error, "code", 1) or 0)
    except Exception as error:
        status = 2 if isinstance(error, UsageError) else 1
        if not stopped:
            _report(error)
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    rank = os.environ.get("LOCAL_RANK", "0")
    if status and rank.isdecimal() and rank != "0" and "TORCHELASTIC_RUN_ID" not in os.environ:
        _wait_for_rank_zero(parent)
    if stopped and rank == "0":
        print(f"stopped by {signal.Signals(stopped[0]).name}", file=sys.stderr, flush=True)
    sys.exit(128 + stopped[0] if stopped else status)


def _report(error: Exception) -> None:
    if isinstance(error, OSError) and error.filename is None:  # a pipe that is closed, a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # which is flushed at the exit
    if isinstance(error, BrokenPipeError):
        return
    line = _line_of(error)
    if line is None:
        traceback.print_exception(error)
        return
    several = f"rank {os.environ['LOCAL_RANK']}: " if "LOCAL_RANK" in os.environ else ""
    # A file's name may contain line breaks.
    line = re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], f"{several}{line}")
    print(f"error: {line}", file=sys.stderr, flush=True)


def _line_of(error: Exception) -> str | None:
    """The line for the user; None for a bug, which needs its traceback."""
    if isinstance(error, DataError):
        return str(error)
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"{error.filename or 'output'}: {error.strerror}; change that or give another path"
    if "LOCAL_RANK" in os.environ and re.search("gloo|nccl", str(error), re.IGNORECASE):
        return "another process of this training has ended; see its error"
    return None


def _wait_for_rank_zero(parent: int) -> None:
    """Let rank 0 end first: Lightning kills it where it is found alive without the others."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_initialized():
        distributed.destroy_process_group()  # what rank 0 waits for will not come
    for _ in range(300):
        if os.getppid() == parent:
            time.sleep(0.1)
