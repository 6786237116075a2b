"""Advice in error messages: the type of an option, and similar options and classes."""

import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from jsonargparse import typing
from jsonargparse._typehints import type_to_str

from experiment.checkpoints.class_paths import base_classes

CLASS = "a subclass of "
# Modules whose classes are suggested.
HOMES = """lit_models lit_models.networks lit_models.losses lit_models.optim datamodules callbacks
    datamodules.transforms torch.nn torch.optim torch.optim.lr_scheduler"""
ALIASES = {"learning_rate": "lr", "epochs": "max_epochs", "gpus": "devices"}
ALIASES |= {"seed": "seed_everything"}


def in_words(kind: Any) -> str:
    """ "int >0 | null" of ``PositiveInt | None``; of a class "a subclass of Module"."""

    def with_range(found: re.Match[str]) -> str:
        known: Any = getattr(typing, found[0], None)
        if not hasattr(known, "_expression"):
            return found[0]
        return f"{known._type.__name__} {known._expression.replace('v', '')}"

    names = dict.fromkeys(base.__name__ for base in base_classes(kind))
    text = re.sub(r"Optional\[(.+)\]$", r"\1 | null", type_to_str(kind))
    plain = not text.startswith("Callable") and re.search(r"int|float|str|bool|tuple|dict", text)
    if names and not plain:
        return CLASS + " or ".join(names)
    return re.sub(r"\w+", with_range, text.replace(" | Tensor", ""))


def class_problem(path: str, words: str, report: str) -> str:
    """Why ``path`` does not name a class described by ``words``, from jsonargparse's report."""
    if "is not allowed" in report:
        return f"{path} is not allowed; give {words}"
    module, _, name = path.rpartition(".")
    missing = re.search("has no attribute|No .* attribute", report) or not module
    for home in (module, *HOMES.split()) if missing else ():
        for near in get_close_matches(name, dir(sys.modules.get(home)), 3, 0.7):
            if isinstance(getattr(sys.modules[home], near), type):
                return f"{path} does not exist; did you mean {home}.{near}?"
    cause = re.search(r"No module named '([\w.]+)'", report)
    return f"must be {words}, not {path}" + (f" (no module named {cause[1]})" if cause else "")


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
