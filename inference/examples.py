"""Example images from the data that a model was trained on."""

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import DataError
from common.paths import expand
from datamodules.fundus_files import find_photographs
from datamodules.synthetic.cache import cached_sample

if TYPE_CHECKING:
    from inference.model import Model

log = logging.getLogger(__name__)


def examples(model: "Model[Any]", count: int, folder: Path | None = None) -> list[Any]:
    """Inputs of `Model.predict`, spread evenly over the images; of the test split if any.

    They are those of ``folder``, by default the training's, or where it is gone the built-in
    sample's.

    Raises:
        DataError: the sample cannot be drawn.
    """
    given, found = folder or model.trained.data.get("data_dir"), None
    if given is not None:
        try:
            found = model.example_inputs(expand(given))
        except DataError as error:
            log.warning("no images (%s); those of the sample instead", error)
    found = found or model.example_inputs(cached_sample(import_module(model.sample).draw_sample, 0))
    count = min(count, len(found))
    return [found[i * len(found) // count] for i in range(count)]


def example_photographs(folder: Path) -> list[Path]:
    """Photographs of the test split in a folder of fundus images, or of its only split."""
    splits = find_photographs(folder).splits
    return [files.image for files in splits.get("test") or next(iter(splits.values()))]
