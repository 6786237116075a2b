"""At most one process trains in a run folder."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from common.errors import DataError
from experiment.atomic import writing


class RunLock:
    """A lock on ``<folder>/.lock`` that ends with its process, however that ends.

    POSIX locks belong to one process alone. What else there is (flock, a library on top of it) goes
    on to workers that a data loader forks, and these outlive a killed parent by seconds.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            DataError: another process has it.
        """
        if sys.platform == "win32":
            return
        import fcntl

        with writing(self.path):
            self._file = self.path.open("ab+", buffering=0)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            owner = self._file.read().decode() or "another process"
            self._file.close()
            raise DataError(
                f"{self.path.parent}: {owner} is training here; wait for it or choose another "
                "--run.name"
            ) from None
        with suppress(OSError):  # a full disk: who has the lock is then not said
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()}".encode())

    def discard(self) -> None:
        """Give it back, without a trace where the folder holds nothing else."""
        if self._file is not None and list(self.path.parent.iterdir()) == [self.path]:
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Give it back. The file stays: removed, it could be locked twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
