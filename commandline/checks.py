"""Checks of option values that jsonargparse accepts, but Lightning or torch cannot use."""

import dataclasses
import inspect
import math
import os
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_args

import pytorch_lightning as pl

from commandline.suggestions import in_words, quoted
from common.errors import DataError, UsageError
from experiment.checkpoints.class_paths import check_classes, find_class

NOT_ZERO = "max_epochs max_steps limit_train_batches limit_test_batches limit_predict_batches"
PROCESSES = 4 * (os.cpu_count() or 1)  # more take the machine down
# Smallest and largest value of trainer options, and of model options by their last name.
RANGES: dict[str, tuple[float, float]] = {
    "seed_everything": (0, 2**32 - 1),
    "trainer.devices": (-math.inf, PROCESSES),
    "data.num_workers": (0, max(64, PROCESSES)),
    "trainer.accumulate_grad_batches": (1, math.inf),
    "trainer.check_val_every_n_epoch": (1, math.inf),
    "trainer.min_epochs": (0, math.inf),
    "trainer.min_steps": (0, math.inf),
    "trainer.num_sanity_val_steps": (-1, math.inf),
    "trainer.log_every_n_steps": (0, math.inf),
    "trainer.gradient_clip_val": (0, math.inf),
    "lr": (0, math.inf),
    "weight_decay": (0, math.inf),
    "eps": (0, math.inf),
    "momentum": (0, 1),
    "label_smoothing": (0, 1),
    "factor": (0, math.inf),
    "patience": (0, math.inf),
    "cooldown": (0, math.inf),
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
    trainer = {f"trainer.{name}": value for name, value in config["trainer"].items()}
    for option in (*NOT_ZERO.split(), "val_check_interval", f"limit_{verb[:3]}_batches"):
        if trainer.get(f"trainer.{option}") == 0:
            raise UsageError(f"trainer.{option}: must not be 0, which trains or scores nothing")
    for option, value in {"seed_everything": config["seed_everything"], **trainer}.items():
        _check_range(option, option, value)
    found = [("data", config["data"]), ("model", config["model"])]
    found += [("trainer.callbacks", one) for one in config["trainer"]["callbacks"] or []]
    for option, part in found:
        for name, hint, value in _arguments(option, part):
            group = dataclasses.is_dataclass(hint) and not isinstance(value, Mapping)
            if group or (value is None and hint is not Any and NoneType not in get_args(hint)):
                words = "a group of options" if group else in_words(hint)
                raise UsageError(f"{name}: must be {words}, not {quoted(str(value))}")
            if value == "" and name.endswith("_dir"):
                raise UsageError(f"{name}: is empty; give a folder, or null")
            _check_range(name, name.rpartition(".")[2] if option == "model" else name, value)


def _check_range(option: str, name: str, value: Any) -> None:
    try:
        number = float(value)
    except (TypeError, ValueError):  # "auto", null, a list
        return
    least, most = RANGES.get(name, (-math.inf, math.inf))
    if name in RANGES and (math.isinf(number) or not least <= number <= most):
        limits = [f">= {least}"] * (least > -math.inf) + [f"<= {most}"] * (most < math.inf)
        raise UsageError(f"{option}: must be {' and '.join(limits)}, not {quoted(str(value))}")


def _arguments(option: str, part: Any) -> Iterator[tuple[str, Any, Any]]:
    """``(option, type, value)`` of the arguments of a class, and of the classes in them."""
    if not isinstance(part, Mapping) or "class_path" not in part:
        return
    kind = find_class(part["class_path"])
    parameters: dict[str, inspect.Parameter] = {}
    for base in reversed(kind.__mro__):  # to which a constructor may pass keywords on
        if "__init__" in vars(base) and base is not object:
            parameters |= inspect.signature(base).parameters
    for name, value in (part.get("init_args") or {}).items():
        known = parameters.get(name)
        typed = known is not None and not isinstance(known.annotation, str)
        hint = known.annotation if typed and known.default is not None else Any  # type: ignore[union-attr]
        yield f"{option}.{name}", Any if hint is inspect.Parameter.empty else hint, value
        yield from _arguments(f"{option}.{name}", value)
