"""``fit --help --config X`` shows the most used options, ``--help all`` all of them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse._parameter_resolvers import get_signature_parameters

from experiment.checkpoints.class_paths import find_class

FIRST_PAGE = """config ckpt_path data.data_dir data.predict_dir data.batch_size data.num_workers
    data.image_size data.size data.inputs.size data.val_fraction data.val_size
    model.network.weights model.network.widths model.optimizer.lr model.inference.threshold
    model.inference.tta trainer.max_epochs trainer.devices trainer.accelerator trainer.precision
    seed_everything run.root run.name run.wandb output"""
Option = tuple[str, Any, str]  # name, value and description


def print_help(parser: ArgumentParser, args: Sequence[str]) -> None:
    """Print help and exit where ``args`` contain ``--help``."""
    if not {"-h", "--help"} & {*args}:
        return
    others = [arg for arg in args if arg not in ("-h", "--help", "all")]
    config = parser.get_defaults()
    if any(arg.startswith(("-c", "--config")) for arg in others):
        config = parser.parse_args(others)
    options: list[Option] = [(a.dest, config.get(a.dest), str(a.help)) for a in parser._actions]
    for part in ("model", "data"):
        if config.get(part):
            options += _options_of(None, config[part].as_dict(), part)
    print(f"usage: {parser.prog} --config FILE_OR_NAME [--OPTION VALUE ...]\n")
    for name, value, text in options:
        said = " ".join(text.split())
        if "all" in args and not isinstance(value, Namespace):
            print(f"  --{name:<26} {value!s:<22} {said}")
        elif name in FIRST_PAGE.split():
            print(f"  --{name:<26} {value!s:<22} {said.partition('. ')[0]}")
    if "all" not in args:
        print("\nWith --config the config's options, too; --help all shows all there are.")
    sys.exit()


def _options_of(kind: Any, given: Mapping[str, Any], name: str) -> Iterator[Option]:
    """Options of a class and of the classes and groups in its arguments."""
    if "class_path" in given:
        kind, given = find_class(given["class_path"]), given.get("init_args") or {}
    for parameter in get_signature_parameters(kind):
        value, option = given.get(parameter.name), f"{name}.{parameter.name}"
        if isinstance(value, Mapping):
            if "class_path" in value:
                yield option, value["class_path"], parameter.doc or ""
            yield from _options_of(parameter.annotation, value, option)
        elif parameter.name in given:  # others the model gives, such as an optimizer's parameters
            yield option, value, parameter.doc or ""
