"""Options of ``cli.py export`` and ``cli.py demo``: which checkpoint."""

import argparse
from pathlib import Path

from common.config_file import read_section
from common.errors import DataError
from common.paths import expand
from experiment.checkpoints import find_checkpoints
from experiment.run_folder import RunSettings


def add_checkpoint_options(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add ``--ckpt_path``, ``--config`` and ``--run.*``."""
    parser.add_argument(
        "--ckpt_path",
        required=default is None,
        default=default,
        help="best or last, of the newest run of --config; or a run folder or checkpoint file",
    )
    parser.add_argument("--config", type=Path, help="whose runs best and last are looked for in")
    for name in ("task", "config", "root", "name"):
        parser.add_argument(f"--run.{name}", help=f"in place of run.{name} of --config")


def chosen_checkpoint(options: argparse.Namespace) -> Path:
    """The run folder or checkpoint that the options stand for.

    Raises:
        DataError: best or last without a config, a config that cannot be read, no such run.
    """
    if options.ckpt_path not in ("best", "last"):
        return expand(options.ckpt_path)
    given = {k[4:]: v for k, v in vars(options).items() if k[:4] == "run." and v is not None}
    if options.config is None and not given.keys() & {"task", "config"}:
        raise DataError(
            f"--ckpt_path {options.ckpt_path}: of which run? Give --config configs/aoi.yaml, or "
            "a run folder or checkpoint in place of it"
        )
    config = read_section(str(options.config), "run") if options.config else {}
    run = {**config, **given}
    settings = RunSettings(
        **{k: v for k, v in run.items() if k in ("task", "config", "root", "name")}
    )
    return find_checkpoints(options.ckpt_path, runs=settings.existing)[0]
