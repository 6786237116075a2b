"""The verbs, and the module that runs each of them."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from commandline.exits import run_and_exit
from common.errors import UsageError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
# Description and module of each verb; the module "cli" runs those of Lightning's Trainer.
VERBS = {
    "fit": ("train", "cli"),
    "validate": ("score the validation images", "cli"),
    "test": ("score the test images", "cli"),
    "predict": ("write predictions as files", "cli"),
    "crossval": ("hold each image out once", "experiment.crossval"),
    "compare": ("one page over several runs", "experiment.compare"),
    "export": ("one ONNX file", "inference.export"),
    "demo": ("a page in the browser", "demo.server"),
    "compress": ("fundus photographs as AVIF files", "inference.compression"),
}


class OneLineArguments(argparse.ArgumentParser):
    """Parser that raises `UsageError` and takes no abbreviated option."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{self.prog}: {message}; see --help")


def main(args: Sequence[str]) -> Any:
    """Run a command line: a verb and its options.

    Raises:
        DataError: bad input, in one line.
    """
    verb = args[0] if args else "--help"
    if verb not in VERBS and not verb.startswith("-"):
        near = get_close_matches(verb, VERBS, 1, 0.5)
        meant = f"did you mean {near[0]}?" if near else f"give {', '.join(VERBS)}"
        raise UsageError(f"{verb!r} is not a verb; {meant}")
    parser = OneLineArguments("lit-tasks", epilog="lit-tasks VERB --help [--config X] says more.")
    shown = f"lightning-image-tasks {version('lightning-image-tasks')}"
    parser.add_argument("--version", action="version", version=shown)
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for name, (text, _) in VERBS.items():
        verbs.add_parser(name, help=text, description=f"{name}: {text}.")
    if verb not in VERBS:
        return parser.parse_args([verb])
    args = [verb, *map(_path_of_config, args, args[1:])]
    module = import_module(VERBS[verb][1])
    if VERBS[verb][1] == "cli":
        return module.main(args)
    module.add_options(verbs.choices[verb])
    options, others = parser.parse_known_args(args)
    if verb == "crossval":  # the others are those of fit
        return module.run(options, others, import_module("cli").main)
    if others:
        verbs.choices[verb].error(f"unknown option {others[0]}")
    return module.run(options)


def run() -> NoReturn:
    """Run the command line of this process."""
    if os.path.expanduser("~") == "~":  # a user without an entry in passwd, as in a container
        os.environ["HOME"] = tempfile.gettempdir()  # for the caches of libraries
    run_and_exit(lambda: main(sys.argv[1:]))


def _path_of_config(before: str, arg: str) -> str:
    """Replace ``aoi`` after ``--config`` by the path of ``configs/aoi.yaml``."""
    option, _, name = arg.partition("=") if arg.startswith("--config=") else (before, "", arg)
    path = CONFIGS / f"{name}.yaml"
    if option not in ("--config", "-c") or Path(name).exists() or not path.is_file():
        return arg
    return f"{option}={path}" if "=" in arg else str(path)
