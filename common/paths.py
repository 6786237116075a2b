"""Paths that people type."""

import os
from pathlib import Path


def expand(path: str | Path) -> Path:
    """``path`` with ``~`` as the user's home; as it is where there is no such home or user."""
    return Path(os.path.expanduser(path))
