"""``python cli.py crossval --config configs/aoi.yaml --folds 5``: train each fold, pool the scores.

Each fold (and seed) is an ordinary run in the folder of the cross-validation. The same command
continues a cross-validation that was stopped.
"""

import argparse
import hashlib
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from common.errors import DataError, UsageError
from common.paths import expand
from experiment.atomic import write_json, write_table, write_text, writing
from experiment.checkpoints import CROSSVAL_RECORD, find_checkpoints
from experiment.compare import write_comparison
from experiment.crossval_report import page, read_image_tables, summary
from experiment.run_folder import RunSettings, discard_run_folder, lock_run_folder
from experiment.run_json import read_record
from experiment.run_results import read_results
from experiment.suspects import write_suspects

SEED = 42  # of the first training of each fold
Main = Callable[[list[str]], Any]
OURS = (  # options that differ between the runs, or are the same in all
    *("--data.fold", "--data.folds", "--seed_everything", "--ckpt_path", "--run.config"),
    "--trainer.devices",  # all runs train in this process
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``crossval``; all others are those of ``fit``."""
    parser.add_argument("--config", required=True, action="append", help="as of fit")
    parser.add_argument("--folds", type=int, default=5, help="parts of the training data")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each fold, from seed 42")
    parser.add_argument("--run.root", dest="root", help="folder of all runs")
    parser.add_argument("--run.name", dest="name", help="the result is written to crossval_<name>")


def run(options: argparse.Namespace, given: Sequence[str], fit: Main) -> Path:
    """Cross-validate, or continue where it was stopped.

    Args:
        options: options of `add_options`.
        given: options of ``fit``.
        fit: runs a command line of the Trainer's verbs.

    Returns:
        Folder of the cross-validation.

    Raises:
        DataError: bad options, other options than the folder was started with, or an error of
            ``fit``.
    """
    _check(options, given)
    given = [*given, f"--run.root={options.root}"] if options.root else given
    settings = RunSettings.of_configs(options.config, root=options.root, name=options.name)
    folder = settings.folder / f"crossval_{settings.name or options.folds}"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = lock_run_folder(folder)
    try:
        _cross_validate(folder, options, given, fit)
    except DataError:
        if not any(path.is_dir() for path in folder.iterdir()):
            (folder / CROSSVAL_RECORD).unlink(missing_ok=True)  # it would refuse the fixed command
        raise
    finally:
        lock.release()
        discard_run_folder(folder)
    return folder


def _check(options: argparse.Namespace, given: Sequence[str]) -> None:
    for option, least in (("folds", 2), ("seeds", 1)):
        if getattr(options, option) < least:
            raise UsageError(f"{option}: must be a whole number >= {least}")
    for name in (arg.partition("=")[0] for arg in given):
        if name in OURS:
            raise UsageError(f"{name[2:]}: is set for each fold; give --folds, --seeds")


def _cross_validate(
    folder: Path, options: argparse.Namespace, given: Sequence[str], fit: Main
) -> None:
    record = _begin(folder, options, given)
    configs = [f"--config={path}" for path in options.config]
    fixed = [*configs, *given, "--trainer.devices=1", f"--data.folds={options.folds}"]
    fixed += [f"--run.root={folder.parent}", f"--run.config={folder.name}"]
    seeds = range(SEED, SEED + options.seeds)
    parts = [{"fold": fold, "seed": seed} for seed in seeds for fold in range(options.folds)]
    runs = [folder / f"fold-{part['fold']}_seed-{part['seed']}" for part in parts]
    members = []
    for number, (run, part) in enumerate(zip(runs, parts, strict=True), start=1):
        print(f"crossval {number}/{len(runs)}: {run}", flush=True)
        own = f"--data.fold={part['fold']}", f"--seed_everything={part['seed']}"
        _train(run, [*fixed, *own], fit)
        members.append(part | _validate(run, fit))
    images = read_image_tables(runs)
    record |= {"status": "finished", "seeds": options.seeds, "members": members}
    record |= summary(members, images)
    write_json(folder / CROSSVAL_RECORD, record)
    lines = page(record)
    if "label" in images:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        lines += write_suspects(folder, images, config["data"]["init_args"])
    command = f"python cli.py fit {shlex.join([*configs, *given])} --data.fold all"
    if record["best_epoch"] is not None:
        command += f" --trainer.max_epochs {record['best_epoch']}"
    text = "\n".join([*lines, "Train on all images:", "", f"    {command}", ""])
    write_text(folder / "crossval.md", text)
    if len(images):
        write_table(folder / "out_of_fold.csv", list(images.columns), images.values.tolist())
    write_comparison(runs)
    print(f"{text}\ncross-validation {folder}", flush=True)


def _begin(folder: Path, options: argparse.Namespace, given: Sequence[str]) -> dict[str, Any]:
    """The record of a cross-validation that these options started, or a new one.

    Raises:
        DataError: the folder was started with other options.
    """
    texts = [expand(config).read_bytes() for config in options.config]
    started = {
        "configs": options.config,
        "sha256": [hashlib.sha256(text).hexdigest() for text in texts],
        "folds": options.folds,
        "options": [*given],
    }
    before = read_record(folder / CROSSVAL_RECORD) or started
    for name, value in started.items():
        if before.get(name) != value:
            raise DataError(f"{folder}: was started with other {name}; choose another --run.name")
    write_json(folder / CROSSVAL_RECORD, started | {"status": "running"})
    return started


def _train(run: Path, options: Sequence[str], fit: Main) -> None:
    """Train, or resume from the last checkpoint, unless the training is finished."""
    if read_record(run / "run.json").get("status") == "finished":
        return
    if run.exists() and not (run / "checkpoints" / "last.ckpt").is_file():
        shutil.rmtree(run)  # stopped before the end of its first epoch
    fit(["fit", *options, f"--run.name={run.name}", "--ckpt_path=auto"])


def _validate(run: Path, fit: Main) -> dict[str, Any]:
    """Scores of the held-out images with the best checkpoint, also of an earlier call."""
    (best,) = find_checkpoints(run)
    if not _scores(run):
        fit(["validate", f"--config={run / 'config.yaml'}", f"--ckpt_path={best}"])
    return {
        "checkpoint": best.relative_to(run.parent).as_posix(),
        "best_epoch": read_results(run).best_epoch,
        "metrics": _scores(run)[-1],
    }


def _scores(run: Path) -> list[dict[str, float]]:
    found = [one for one in read_results(run).evaluations if one["stage"] == "validate"]
    return [one["metrics"] for one in found if one.get("metrics")]
