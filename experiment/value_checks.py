"""Values that jsonargparse lets through: null for what has no such value, a list for a group."""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, get_args

import pytorch_lightning as pl
from jsonargparse import Namespace
from jsonargparse.util import import_object

from common.errors import DataError
from experiment.arguments import UsageError
from experiment.class_paths import check_classes, find_class
from experiment.type_words import in_words, quoted

# Filled from other options when the classes are made.
LINKED = ("model.class_names",)


def check_values(config: Namespace, subcommand: str) -> None:
    """Refuse such values in every class that a config names, however deep.

    Args:
        config: the options of the subcommand, parsed.
        subcommand: one of the Trainer's.

    Raises:
        UsageError: names the option, and what it takes.
    """
    values = config.as_dict()
    if values["output"] is not None and subcommand != "predict":
        raise UsageError(f"output: is of predict; {subcommand} writes into the run's folder")
    for group in ("model", "data", "trainer", "run"):
        if not isinstance(values[group], Mapping):
            given = quoted(str(values[group]))
            raise UsageError(f"{group}: must be a group of options, not {given}")
    callbacks = values["trainer"].get("callbacks") or []
    found = [("model", values["model"]), ("data", values["data"])]
    found += [("trainer.callbacks", one) for one in callbacks if isinstance(one, Mapping)]
    for option, value in found:
        for name, hint, inner in _arguments(option, value):
            no_group = dataclasses.is_dataclass(hint) and not isinstance(inner, Mapping)
            if name not in LINKED and (no_group or inner is None):
                shown = "null" if inner is None else quoted(str(inner))
                words = "a group of options" if no_group else in_words(hint)
                raise UsageError(f"{name}: must be {words}, not {shown}")


def check_config_classes(config: Namespace) -> None:
    """Refuse functions and classes of another kind, before anything in a config is called.

    Raises:
        UsageError: see `check_classes`.
    """
    bases = {"model": pl.LightningModule, "data": pl.LightningDataModule}
    try:
        check_classes(config.trainer.as_dict(), pl.Trainer, "trainer")
        for part, base in bases.items():
            kind = find_class(str(config[part].class_path), (base,))
            check_classes(config[part].init_args.as_dict(), kind, part)
    except DataError as error:
        raise UsageError(str(error)) from None


def _arguments(option: str, value: Any) -> Iterator[tuple[str, Any, Any]]:
    """``(option, type, value)`` of what must not be null, in the classes below ``option``."""
    if not isinstance(value, Mapping) or not isinstance(value.get("class_path"), str):
        return
    arguments = value.get("init_args") or {}
    kind = import_object(value["class_path"])
    parameters = inspect.signature(kind.__init__ if isinstance(kind, type) else kind).parameters  # type: ignore[misc]
    for name, inner in arguments.items():
        known = parameters.get(name)
        hint = known.annotation if known is not None else inspect.Parameter.empty
        declared = hint is not inspect.Parameter.empty and not isinstance(hint, str)
        optional = hint in (Any, None) or NoneType in get_args(hint)
        if known is not None and declared and not optional and known.default is not None:
            yield f"{option}.{name}", hint, inner
        yield from _arguments(f"{option}.{name}", inner)
