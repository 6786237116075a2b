"""Checks of option values that jsonargparse accepts, but Lightning or torch cannot use."""

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytorch_lightning as pl

from common.errors import DataError, UsageError
from experiment.checkpoints.class_paths import check_classes, find_class
from experiment.checkpoints.settings import flat_settings

NOT_ZERO = "max_epochs max_steps limit_train_batches limit_test_batches limit_predict_batches"
PROCESSES = 4 * (os.cpu_count() or 1)  # more take the machine down
# Smallest and largest value.
RANGES: dict[str, tuple[float, float]] = {
    "seed_everything": (0, 2**32 - 1),
    "trainer.devices": (-1, PROCESSES),
    "data.num_workers": (0, max(64, PROCESSES)),
    "trainer.accumulate_grad_batches": (1, math.inf),
    "trainer.check_val_every_n_epoch": (1, math.inf),
    "trainer.gradient_clip_val": (0, math.inf),
    "model.optimizer.lr": (0, math.inf),
    "model.loss.label_smoothing": (0, 1),
}


def check_values(config: dict[str, Any], verb: str) -> None:
    """Refuse bad values and wrong classes before anything is instantiated.

    Args:
        config: parsed options as nested dicts.
        verb: a verb of the Trainer.

    Raises:
        UsageError: names the option and what it takes.
    """
    for section in ("trainer", "run"):
        if not isinstance(config[section], Mapping):
            raise UsageError(f"{section}: must be a group of options, not {config[section]}")
    try:
        check_classes(config["trainer"], pl.Trainer, "trainer")
        for part, base in (("model", pl.LightningModule), ("data", pl.LightningDataModule)):
            kind = find_class(config[part]["class_path"], (base,))
            check_classes(config[part].get("init_args", {}), kind, part)
    except DataError as error:
        raise UsageError(str(error)) from None
    values = flat_settings(config)
    for option in (*NOT_ZERO.split(), "val_check_interval", f"limit_{verb[:3]}_batches"):
        if values.get(f"trainer.{option}") == 0:
            raise UsageError(f"trainer.{option}: must not be 0, which trains or scores nothing")
    for option, (least, most) in RANGES.items():
        limits = f">= {least}" if most == math.inf else f"from {least} to {most}"
        with suppress(TypeError, ValueError):  # "auto", null, a list
            if not least <= float(values.get(option, least)) <= most:
                raise UsageError(f"{option}: must be {limits}, not {values[option]}")
    for option, value in values.items():
        if value == "" and option.endswith("_dir"):
            raise UsageError(f"{option}: is empty; give a folder, or null")
