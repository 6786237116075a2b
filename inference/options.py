"""Options of ``cli.py export`` and ``cli.py demo``: which checkpoint."""

import argparse
from pathlib import Path
from typing import Any

import yaml

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
    run = {**_of_config(options.config), **given}
    settings = RunSettings(
        **{k: v for k, v in run.items() if k in ("task", "config", "root", "name")}
    )
    return find_checkpoints(options.ckpt_path, runs=settings.existing)[0]


def _of_config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return dict(yaml.safe_load(expand(path).read_text(encoding="utf-8"))["run"])
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        raise DataError(f"{path}: not a config with a section run; see configs/") from None
