"""The errors that bad input raises: one line, which the command line prints alone."""


class DataError(Exception):
    """Bad input: one line that names file, cause and fix."""


class UsageError(DataError):
    """A bad option or config: one line that names it, what is wrong, and what would be right."""
