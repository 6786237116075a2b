"""The one error that bad input data raises."""


class DataError(Exception):
    """Bad input: one line that names the file, the cause and the fix. ``cli.py`` prints it alone."""
