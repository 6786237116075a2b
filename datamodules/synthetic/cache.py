"""Where the built-in samples are kept: drawn once, whole or not at all."""

import hashlib
import inspect
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from common.errors import DataError
from common.paths import expand


def cached_sample(draw: Callable[[Path, int], None], seed: int) -> Path:
    """Folder with the sample that ``draw(folder, seed)`` makes, drawn on first use.

    It is ``$XDG_CACHE_HOME/lightning-image-tasks/<module>-<digest>`` (``~/.cache`` by default), of
    the drawing module's source and the seed: a changed drawing never meets an old cache. It is
    drawn under another name and renamed when whole.

    Raises:
        DataError: the cache cannot be written.
    """
    source = Path(inspect.getfile(draw))
    digest = hashlib.sha256(source.read_bytes() + str(seed).encode()).hexdigest()[:12]
    cache = expand(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "lightning-image-tasks"
    folder = cache / f"{source.stem}-{digest}"
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=f".{folder.name}-") as tmp_dir:
            (sample := Path(tmp_dir, "sample")).mkdir()
            draw(sample, seed)
            sample.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was first, and its sample is the same
            raise DataError(
                f"{cache}: the built-in sample cannot be kept there ({error.strerror}); "
                "set XDG_CACHE_HOME to another folder"
            ) from None
    return folder
