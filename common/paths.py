"""Paths that people type."""

import os
from pathlib import Path


def expand(path: str | Path) -> Path:
    """Expand ``~``; unlike `Path.expanduser`, keep it where the user has no home."""
    return Path(os.path.expanduser(path))
