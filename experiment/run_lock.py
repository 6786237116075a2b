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

    Raises:
        DataError: another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._file: IO[bytes] | None = None
        if sys.platform == "win32":
            return
        import fcntl

        with writing(self.path):
            self._file = self.path.open("ab+", buffering=0)
            self._file.seek(0)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(
                f"{folder}: {self._file.read().decode()} is training here; wait for it or "
                "choose another --run.name"
            ) from None
        with writing(self.path):
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()}".encode())

    def release(self) -> None:
        """Release it; the file stays where the folder contains more: it could be locked twice."""
        if self._file is not None:
            if [*self.path.parent.iterdir()] == [self.path]:
                self.path.unlink()
            self._file.close()
            self._file = None
