"""How a process ends: one line for what is wrong with the input, and a status that tells why.

==============  ====================================================
0               done
1               bad data, see `DataError`; a path that is refused; or a bug, with its traceback
2               bad option or config, see `UsageError`
130, 143        stopped by Ctrl-C, by SIGTERM
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
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from common.errors import DataError, UsageError

# Errors of the operating system that a person can do something about.
REFUSED = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.EROFS}
FULL = {errno.ENOSPC, errno.EDQUOT}
# Seconds: until another process's error is known, and until rank 0 has ended after it.
PATIENCE, LAST_PATIENCE = 5.0, 30.0


def run_and_exit(main: Callable[[], object]) -> NoReturn:
    """Run ``main`` and end this process as the table above says.

    Of several processes one writes the line. A bug's traceback is written by each that has it.
    """
    stopped: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.append(signum)
        if len(stopped) == 1:
            raise KeyboardInterrupt

    for signum in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as a shell's background jobs have it
            signal.signal(signum, stop)
    claim = _Claim()
    status = 0
    try:
        main()
    except (KeyboardInterrupt, SystemExit) as error:
        status = int(getattr(error, "code", 1) or 0)
        if isinstance(error.__context__, KeyboardInterrupt) and not stopped:
            stopped.append(signal.SIGINT)  # by another handler, such as a debugger's
    except Exception as error:
        status = 2 if isinstance(error, UsageError) else 1
        line = _line_of(error)
        if stopped or (line is None and isinstance(error, RuntimeError) and claim.is_taken()):
            pass  # the line is written already: this process has lost its connection
        elif line is None:
            claim.is_first()
            traceback.print_exc()
        elif claim.is_first():
            print(f"error: {line}", file=sys.stderr, flush=True)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    if status:
        claim.wait_for_rank_zero()
    if stopped and not claim.launched:
        print(f"stopped by {signal.Signals(stopped[0]).name}", file=sys.stderr, flush=True)
    sys.exit(128 + stopped[0] if stopped else status)


def _line_of(error: Exception) -> str | None:
    """What a person is told; None for a bug, which needs its traceback."""
    if isinstance(error, OSError) and error.filename and error.errno in REFUSED | FULL:
        advice = "free some space" if error.errno in FULL else "change that or give another path"
        line = f"{error.filename}: {error.strerror}; {advice}"
    elif isinstance(error, DataError):
        line = str(error)
    else:
        return None
    # A file's name may hold line breaks.
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], line)


class _Claim:
    """Decides which process of a training on this machine writes the line about an error.

    The first one to meet it, by a file; the others then lose their connection, which is not news.
    """

    def __init__(self) -> None:
        if "WORLD_SIZE" not in os.environ:  # another program has left them
            for name in ("RANK", "LOCAL_RANK"):
                os.environ.pop(name, None)
        self.launched = "LOCAL_RANK" in os.environ  # by rank 0 or torchrun
        self.several = self.launched or int(os.environ.get("WORLD_SIZE", "1")) > 1
        self.owner = os.getppid() if self.launched else os.getpid()
        self.path = Path(tempfile.gettempdir(), f"lightning-image-tasks-{self.owner}")
        if os.environ.get("LOCAL_RANK", "0") == "0":
            with suppress(PermissionError):  # another user's
                self.path.unlink(missing_ok=True)

    def is_first(self) -> bool:
        """Whether no other process has written about an error; from now on this one has."""
        if not self.several:
            return True
        try:
            self.path.touch(exist_ok=False)
        except FileExistsError:
            return False
        return not self._alone()

    def is_taken(self) -> bool:
        """Whether another process has written about an error, or does so within `PATIENCE`."""
        end = time.monotonic() + (PATIENCE if self.several else 0)
        while not (taken := self.path.exists() or self._alone()) and time.monotonic() < end:
            time.sleep(0.1)
        return taken

    def wait_for_rank_zero(self) -> None:
        """Let rank 0 end first: Lightning kills it where it is found alive without the others."""
        distributed = sys.modules.get("torch.distributed")
        if distributed is not None and distributed.is_initialized():
            distributed.destroy_process_group()  # what rank 0 waits for will not come
        by_rank_zero = self.launched and "TORCHELASTIC_RUN_ID" not in os.environ
        end = time.monotonic() + LAST_PATIENCE
        while by_rank_zero and not self._alone() and time.monotonic() < end:
            time.sleep(0.1)
        if self._alone():
            self.path.unlink(missing_ok=True)

    def _alone(self) -> bool:
        return self.launched and os.getppid() != self.owner
