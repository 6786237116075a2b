"""The one error that bad input data raises."""


class DataError(Exception):
    """Bad input: one line that names file, cause and fix, which ``cli.py`` prints alone."""
