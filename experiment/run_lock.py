"""At most one process trains in a run folder."""

import os
import sys
from pathlib import Path
from typing import IO

from common.errors import DataError
from experiment.atomic import writing


class RunLock:
    """A POSIX lock on ``<folder>/.lock``, released when its process ends; no lock on Windows.

    Not `filelock`, whose flock is inherited by the workers that a data loader forks: they outlive
    a killed parent by seconds, in which the run could not be resumed.
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
            file = self.path.open("ab+", buffering=0)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise DataError(
                f"{self.path.parent}: {file.read().decode()} is training here; wait for it or "
                "choose another --run.name"
            ) from None
        with writing(self.path):
            file.truncate(0)
            file.write(f"process {os.getpid()}".encode())
        self._file = file

    def discard(self) -> None:
        """Release the lock, and remove the file where the folder contains nothing else."""
        if self._file is not None and list(self.path.parent.iterdir()) == [self.path]:
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Release the lock. The file stays: removed, it could be locked twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
