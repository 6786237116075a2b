"""How ``cli.py`` ends: one line for what lies with the input, and a status that tells why.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch.distributed
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from common.errors import DataError
from experiment.arguments import UsageError

# Why the operating system refuses a path that a person gave, and what would be right.
REFUSED = {
    errno.EACCES: "change its permissions or give another path",
    errno.EPERM: "change its permissions or give another path",
    errno.ELOOP: "mend its links or give another path",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EIO: "mend the disk",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "give another path",
}
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
        lost_connection = isinstance(error, RuntimeError) and claim.is_taken()
        if line is not None and not stopped and claim.is_first():
            print(f"error: {line}", file=sys.stderr, flush=True)
        elif line is None and not stopped and not lost_connection:
            claim.is_first()
            traceback.print_exc()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # all is said and done
    if status:
        claim.wait_for_rank_zero()
    if stopped and not claim.launched:
        print(f"stopped by {signal.Signals(stopped[0]).name}", file=sys.stderr, flush=True)
    sys.exit(128 + stopped[0] if stopped else status)


def _line_of(error: Exception) -> str | None:
    """What a person is told; None: it is a bug, which the traceback is for."""
    if isinstance(error, OSError) and error.filename is not None and error.errno in REFUSED:
        line = f"{error.filename}: {error.strerror}; {REFUSED[error.errno]}"
    elif isinstance(error, DataError):
        line = str(error)
    else:
        return None
    # A file's name may hold line breaks.
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], line)


class _Claim:
    """Which of the processes of a training on this machine writes the line about an error.

    The first to meet it. The others learn of it by a lost connection, which is then no news.
    """

    def __init__(self) -> None:
        self.launched = "LOCAL_RANK" in os.environ  # by rank 0 or torchrun
        self.by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
        owner = os.getppid() if self.launched else os.getpid()
        self.path = Path(tempfile.gettempdir()) / f"lightning-image-tasks-{os.getuid()}-{owner}"
        if os.environ.get("LOCAL_RANK", "0") == "0":
            self.path.unlink(missing_ok=True)
        self.owner = owner

    def is_first(self) -> bool:
        """Whether no other process has written about an error; from now on this one has."""
        if not self._several():
            return True
        if self._alone():
            return False
        try:
            self.path.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def is_taken(self) -> bool:
        """Whether another process has written about an error, or does so presently."""
        end = time.monotonic() + (PATIENCE if self._several() else 0)
        while not (taken := self.path.exists() or self._alone()) and time.monotonic() < end:
            time.sleep(0.1)
        return taken

    def wait_for_rank_zero(self) -> None:
        """Let rank 0 end first: Lightning kills it where it is found alive without the others."""
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # what rank 0 waits for will not come
        by_rank_zero = self.launched and not self.by_torchrun
        end = time.monotonic() + LAST_PATIENCE
        while by_rank_zero and not self._alone() and time.monotonic() < end:
            time.sleep(0.1)
        if self._alone():
            self.path.unlink(missing_ok=True)

    def _alone(self) -> bool:
        return self.launched and os.getppid() != self.owner

    @staticmethod
    def _several() -> bool:
        return int(os.environ.get("WORLD_SIZE", "1")) > 1 or "LOCAL_RANK" in os.environ


@contextmanager
def one_line_of(*kinds: type[Exception], option: str = "") -> Iterator[None]:
    """Turn errors of these kinds, which libraries raise for bad options, into `UsageError`."""
    caught: tuple[type[Exception], ...] = (MisconfigurationException, *kinds)
    try:
        yield
    except DataError:
        raise
    except caught as error:
        line = str(error).strip().partition("\n")[0]
        raise UsageError(f"{option}: {line}" if option else line) from None


@contextmanager
def as_constructors_raise() -> Iterator[None]:
    """Raise what the constructor of a config's class raised, not jsonargparse's report of it.

    Raises:
        UsageError: of a ValueError, which says that an argument is wrong; of a TypeError where
            the class does not take what every class in its place is given.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        called = re.match(r"(\w+)\.__init__\(\) (takes|got|missing) ", str(cause))
        if called is not None:
            line = f"{called[1]}: cannot be made by a config ({cause}); name another class"
            raise UsageError(line) from None
        if isinstance(cause, ValueError):
            raise UsageError(str(cause).strip().partition("\n")[0]) from None
        raise cause from None
