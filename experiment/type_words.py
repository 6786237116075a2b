"""Types of options in words, for messages to people who have never seen Python."""

import inspect
import math
import operator as op
import types
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from experiment.class_paths import base_classes

NUMBERS = {int: ("a whole number", "whole numbers"), float: ("a number", "numbers")}
SIGNS = {op.gt: ">", op.ge: ">=", op.lt: "<", op.le: "<=", op.eq: "==", op.ne: "!="}
WORDS: dict[Any, tuple[str, str]] = {
    **NUMBERS,
    bool: ("true or false", "true or false"),
    str: ("text", "texts"),
    type(None): ("null", "null"),
    dict: ("a mapping", "mappings"),
}


def in_words(kind: Any, several: bool = False) -> str:
    """ "a whole number > 0 or null" of ``PositiveInt | None``.

    Args:
        kind: a type annotation.
        several: the plural.
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind in WORDS:
        return WORDS[kind][several]
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(dict.fromkeys(map(str, args)))
    if origin in (Union, types.UnionType):
        return _union_in_words(args, several)
    if hasattr(kind, "_restrictions"):
        pairs = [(SIGNS[sign], limit) for sign, limit in kind._restrictions if limit != math.inf]
        limits = f" {kind._join} ".join(f"{sign} {limit}".lstrip("= ") for sign, limit in pairs)
        return f"{NUMBERS[kind._type][several]} {limits}"
    if origin is tuple and args and args[-1] is not ...:
        return f"a list of {len(args)} {in_words(args[0], True)}"
    if origin is Callable or (inspect.isclass(kind) and base_classes(kind)):
        names = " or ".join(dict.fromkeys(base.__name__ for base in base_classes(kind)))
        return f"{'class paths' if several else 'the class path'} of a {names}"
    if origin is not None and args and not issubclass(origin, dict):
        return f"{'lists' if several else 'a list'} of {in_words(args[0], True)}"
    return (
        "mappings" if several else "a mapping" if origin else getattr(kind, "__name__", str(kind))
    )


def _union_in_words(args: Sequence[Any], several: bool) -> str:
    choices = [choice for arg in args if get_origin(arg) is Literal for choice in get_args(arg)]
    others = [arg for arg in args if get_origin(arg) is not Literal and arg is not type(None)]
    # Where numbers or words do, nobody means the class that would do as well.
    others = [arg for arg in others if not base_classes(arg)] or ([] if choices else others)
    if choices:
        others.append(Literal[*choices])  # type: ignore[valid-type]
    words = [in_words(arg, several) for arg in others]
    return " or ".join(dict.fromkeys([*words, *(["null"] if type(None) in args else [])]))


def shown(value: Any, length: int) -> str:
    """``value`` in one line of ``length`` characters at most."""
    text = " ".join(str(value).split())
    return text if len(text) <= length else f"{text[:length]}..."


def quoted(value: str) -> str:
    """A value as a person would write it: words in quotes, None as null, long ones cut short."""
    if value in ("None", "True", "False"):
        return {"None": "null"}.get(value, value.lower())
    text = shown(value, 60)
    return text if text[:1] in "[{" or text.replace(".", "").lstrip("-").isdigit() else f"'{text}'"
