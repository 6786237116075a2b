"""Example images from the data that a model was trained on."""

import logging
from pathlib import Path
from typing import Any

from common.errors import DataError
from common.paths import expand
from datamodules.aoi_files import find_images
from datamodules.blot_files import find_templates
from datamodules.fundus_files import find_photographs
from datamodules.synthetic import aoi, blots, drive
from datamodules.synthetic.cache import cached_sample
from experiment.checkpoints import Checkpoint

log = logging.getLogger(__name__)
TASKS = {
    "DefectClassifier": "aoi",
    "VesselSegmenter": "vessels",
    "ImageReconstructor": "retina",
    "BlotGAN": "blots",
    "StyledBlotGAN": "blots",
}


def examples(trained: Checkpoint, count: int) -> list[Any]:
    """Paths, for blots pairs of them, spread evenly over the images; of the test split if any.

    They are the training's, or where that folder is gone the built-in sample's.

    Raises:
        DataError: the sample cannot be drawn.
    """
    task, given = TASKS[trained.method], trained.data.get("data_dir")
    sample = {"aoi": aoi.draw_sample, "blots": blots.draw_sample}.get(task, drive.draw_sample)
    folder = cached_sample(sample, 0) if given is None else expand(given)
    try:
        found = _inputs(task, folder, trained.data)
    except DataError as error:
        if given is None:
            raise
        log.warning("the training's images are gone (%s); those of the sample instead", error)
        found = _inputs(task, cached_sample(sample, 0), trained.data)
    return [found[i * len(found) // min(count, len(found))] for i in range(min(count, len(found)))]


def _inputs(task: str, folder: Path, data: dict[str, Any]) -> list[Any]:
    if task == "aoi":
        files = find_images(folder, "test", data.get("table"), data.get("columns"))
        files = files or find_images(folder, "train", data.get("table"), data.get("columns"))
        assert files is not None
        return [files.folder / str(name) for name in files.names]
    if task == "blots":
        pairs = find_templates(folder, data.get("templates"))
        return [tuple(template.path for template in pair.templates) for pair in pairs]
    splits = find_photographs(folder).splits
    return [files.image for files in splits.get("test") or next(iter(splits.values()))]
