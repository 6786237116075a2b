"""``fit --help --config X`` shows the most used options, ``--help all`` all of them."""

import argparse
import inspect
import sys
from collections.abc import Iterator, Sequence

from jsonargparse import ArgumentParser, Namespace

from experiment.checkpoints.class_paths import find_class

FIRST_PAGE = """config ckpt_path data.data_dir data.predict_dir data.batch_size data.num_workers
    data.image_size data.size data.inputs.size data.val_fraction data.val_size
    model.network.weights model.network.widths model.optimizer.lr model.inference.threshold
    model.inference.tta trainer.max_epochs trainer.devices trainer.accelerator trainer.precision
    seed_everything run.root run.name run.wandb output"""


def print_help(parser: ArgumentParser, args: Sequence[str]) -> None:
    """Print help and exit where ``args`` contain ``--help``."""
    wanted = {"-h", "--help"} & {*args}
    if not wanted:
        return
    others = [arg for arg in args if arg not in (*wanted, "all")]
    parsers = [parser]
    if any(arg.startswith(("-c", "--config")) for arg in others):
        config = parser.parse_args(others)
        for part in ("model", "data"):
            parsers += _class_parsers(config[part], part)
    if "all" in args:
        print("\n\n".join(one.format_help().strip() for one in parsers))
        sys.exit()
    print(f"usage: {parser.prog} --config FILE_OR_NAME [--OPTION VALUE ...]\n")
    options = {action.dest: (one, action) for one in parsers for action in one._actions}
    for name in filter(options.__contains__, FIRST_PAGE.split()):
        one, action = options[name]
        print(f"  --{name:<26} {one.get_defaults().get(name)!s:<22} {action.help}")
    print("\nWith --config also the config's options are shown; --help all shows all there are.")
    sys.exit()


def _class_parsers(spec: Namespace, name: str) -> Iterator[ArgumentParser]:
    """Parsers for the options of a class and of the classes in its arguments."""
    found = find_class(spec.class_path)
    given = spec.get("init_args", Namespace()).as_dict()
    inner = {k for k, v in given.items() if isinstance(v, dict) and "class_path" in v}
    # Arguments that the model gives: an optimizer's parameters, the number of classes ...
    parameters = inspect.signature(found).parameters.values()
    later = {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    parser = ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
    parser.add_class_arguments(
        found, name, skip=inner | (later - given.keys()), fail_untyped=False, instantiate=False
    )
    known = {action.dest for action in parser._actions}
    defaults = {f"{name}.{key}": value for key, value in given.items()}
    parser.set_defaults({key: value for key, value in defaults.items() if key in known})
    yield parser
    for key in sorted(inner):
        yield from _class_parsers(spec.init_args[key], f"{name}.{key}")
