"""The verbs, and the module that runs each of them."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, NoReturn

from commandline.configs import with_config
from commandline.exits import run_and_exit
from common.errors import UsageError

# Description and module of each verb; the module "cli" runs those of Lightning's Trainer.
VERBS = {
    "fit": ("train", "cli"),
    "validate": ("score the validation images", "cli"),
    "test": ("score the test images", "cli"),
    "predict": ("write predictions as files", "cli"),
    "crossval": ("hold each image out once", "experiment.crossval"),
    "compare": ("one page over several runs", "experiment.compare"),
    "export": ("ONNX, OpenVINO or a hub folder", "inference.export"),
    "demo": ("a page in the browser", "demo.server"),
    "compress": ("fundus photographs as AVIF files", "inference.compression"),
}


class OneLineArguments(argparse.ArgumentParser):
    """Parser that raises `UsageError`."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{self.prog}: {message}; see --help")


def main(args: Sequence[str]) -> Any:
    """Run a command line: a verb and its options.

    Raises:
        DataError: bad input, in one line.
    """
    parser = OneLineArguments("lit-tasks", epilog="lit-tasks VERB --help [--config X] says more.")
    shown = f"lightning-image-tasks {version('lightning-image-tasks')}"
    parser.add_argument("--version", action="version", version=shown)
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for name, (text, _) in VERBS.items():
        description = f"{name}: {text}."
        verbs.add_parser(name, help=text, description=description, allow_abbrev=False)
    verb, *_ = args or ["--help"]
    if verb not in VERBS:
        return parser.parse_args([verb])
    args = with_config(args)
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
