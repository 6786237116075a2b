"""Command lines of a few plain options, whose errors are one line."""

import argparse
from typing import Any, NoReturn

from common.errors import DataError


class UsageError(DataError):
    """A bad option or config: one line that names it, what is wrong, and what would be right."""


class OneLineArguments(argparse.ArgumentParser):
    """Parser that raises `UsageError` and takes no abbreviated option."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{self.prog}: {message}; see --help")
