"""``fit --help --config X``: also the options of the classes that the config names."""

import argparse
import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentParser, Namespace


def print_help(parser: Any, config: Namespace) -> None:
    """Print the options of a subcommand, then those of its model and data.

    Args:
        parser: of all subcommands.
        config: as that parser parsed it.
    """
    subcommand = config.subcommand
    parser._subcommands_action.choices[subcommand].print_help()
    for part in ("model", "data"):
        print(f"\n{class_help(config[subcommand][part], part)}")


def class_help(spec: Namespace, name: str) -> str:
    """Help texts of the options of a class and of the classes in its arguments.

    Args:
        spec: ``class_path`` and ``init_args``, whose values are shown as defaults.
        name: of the option that takes the class, such as ``model``.
    """
    return "\n".join(_helps(spec, name))


def _helps(spec: Namespace, name: str) -> Iterator[str]:
    module, _, attribute = spec.class_path.rpartition(".")
    found = getattr(import_module(module), attribute)
    given = spec.get("init_args", Namespace()).as_dict()
    inner = {key for key, value in given.items() if _is_class(value)}
    parser = ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
    # What is made later, by the model: an optimizer's parameters, the number of classes ...
    later = {key for key, parameter in _parameters(found) if parameter.default is parameter.empty}
    parser.add_class_arguments(
        found, name, skip=inner | (later - given.keys()), fail_untyped=False, instantiate=False
    )
    known = {action.dest for action in parser._actions}
    parser.set_defaults(
        {f"{name}.{key}": value for key, value in given.items() if f"{name}.{key}" in known}
    )
    yield f"{name}: {spec.class_path}\n{parser.format_help().strip()}\n"
    for key in given:
        if key in inner:
            yield from _helps(spec.init_args[key], f"{name}.{key}")


def _parameters(found: Any) -> list[tuple[str, inspect.Parameter]]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        (k, p) for k, p in inspect.signature(found).parameters.items() if p.kind not in variadic
    ]


def _is_class(value: Any) -> bool:
    return isinstance(value, dict) and "class_path" in value
