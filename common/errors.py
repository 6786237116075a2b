"""Errors for bad input: one line, which the command line prints without a traceback."""


class DataError(Exception):
    """Bad input: one line that names file, cause and fix."""

    def __init__(self, line: str) -> None:
        # File names may not be UTF-8, but logs and tables are.
        super().__init__(line.encode(errors="backslashreplace").decode())


class UsageError(DataError):
    """A bad option or config: one line that names it, what is wrong, and what would be right."""
