"""Advice in error messages: the type of an option in words, and similar options and classes."""

import dataclasses
import re
import sys
import types
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin

from experiment.checkpoints.class_paths import base_classes

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
WORDS |= {types.NoneType: "null", dict: "a mapping"}
CLASS = "a subclass of "
# Modules whose classes are suggested.
HOMES = """lit_models lit_models.networks lit_models.losses lit_models.optim datamodules callbacks
    datamodules.transforms torch.nn torch.optim torch.optim.lr_scheduler"""
ALIASES = {"learning_rate": "lr", "epochs": "max_epochs", "gpus": "devices"}
ALIASES |= {"seed": "seed_everything"}


def in_words(kind: Any) -> str:
    """ "a whole number > 0 or null" of ``PositiveInt | None``."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in WORDS:
        return WORDS[kind]
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(map(str, args))
    if origin in (Union, types.UnionType):
        words = [*dict.fromkeys(map(in_words, args))]
        # A number is meant where a number or a class is accepted.
        plain = [word for word in words if not word.startswith(CLASS)]
        if WORDS[float] in plain:
            plain = [word for word in plain if word != WORDS[int]]
        return " or ".join(plain if {*plain} - {"null"} else words)
    if hasattr(kind, "_expression"):
        return f"{WORDS[kind._type]} " + re.sub("v([<>=]+)", r"\1 ", kind._expression)
    if not dataclasses.is_dataclass(kind) and (bases := base_classes(kind)):
        return CLASS + " or ".join(dict.fromkeys(base.__name__ for base in bases))
    if origin in (list, tuple, set, Sequence):
        return f"a list of {len(args)}" if origin is tuple and ... not in args else "a list"
    return "a group of options"


def class_problem(path: str, words: str, report: str) -> str:
    """Why ``path`` does not name a class described by ``words``, from jsonargparse's report."""
    if "is not allowed" in report:
        return f"{path} is not allowed; give {words}"
    module, _, name = path.rpartition(".")
    missing = "has no attribute" in report or not module
    for home in (module, *HOMES.split()) if missing else ():
        for near in get_close_matches(name, dir(sys.modules.get(home)), 3, 0.7):
            if isinstance(getattr(sys.modules[home], near), type):
                return f"{path} does not exist; did you mean {home}.{near}?"
    cause = report.partition("No module named ")[2].partition("\n")[0].split(".")[0]
    return f"must be {words}, not {path}" + (f" (no module named {cause})" if cause else "")


def nearest_option(name: str, options: Iterable[str]) -> str:
    """The option with a similar name, or the same name in another group; "" if there is none."""
    options = [*options]
    first, _, rest = name.partition(".")
    groups = {option.partition(".")[0] for option in options}
    if rest and first not in groups and (similar := get_close_matches(first, groups, 1)):
        return f"{similar[0]}.{rest}"
    last = ALIASES.get(name.rpartition(".")[2], name.rpartition(".")[2])
    same = [option for option in options if option.rpartition(".")[2] == last]
    return next(iter([*same, *get_close_matches(name, options, 1)]), "")


def quoted(value: str) -> str:
    """A value as it is written in YAML; text in quotes, at most 60 characters."""
    text = {"None": "null", "True": "true", "False": "false"}.get(value, " ".join(value.split()))
    text = text if len(text) <= 60 else f"{text[:60]}..."
    return text if re.match(r"[\[{]|[-\d.e]+$|null$|true$|false$", text) else f"'{text}'"
