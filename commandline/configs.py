"""The config of a command line: by its name, or that of the checkpoint."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from common.errors import UsageError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def with_config(args: Sequence[str]) -> list[str]:
    """A verb and its options, with the path of each config.

    ``aoi`` after ``--config`` becomes the path of configs/aoi.yaml. Where validate, test or predict
    have none, the one of ``--ckpt_path`` is added: the run's own ``config.yaml``, or else the first
    of configs/ with the same module and data module, whose settings are the checkpoint's anyway.

    Raises:
        UsageError: the checkpoint is of a method that no config here has.
        DataError: see `find_checkpoints`.
    """
    verb, *options = args
    given = {}
    for place, option in enumerate(options):
        name, equal, value = option.partition("=")
        given[name] = value if equal else "".join(options[place + 1 : place + 2])
        if name in ("--config", "-c"):
            path = CONFIGS / f"{given[name]}.yaml"
            if path.is_file() and not Path(given[name]).exists():
                options[place if equal else place + 1] = f"{name}={path}" if equal else str(path)
    source = given.get("--ckpt_path", "best")
    evaluates = verb in ("validate", "test", "predict")
    # Of which config's runs best or last is, is not known.
    if not evaluates or source in ("best", "last") or given.keys() & {"--config", "-c", "--help"}:
        return [verb, *options]
    return [verb, f"--config={_config_of(source)}", *options]


def _config_of(source: str) -> Path:
    from experiment.checkpoints import find_checkpoints, read_checkpoint  # torch takes a second

    checkpoint = find_checkpoints(source)[0]
    beside = checkpoint.resolve().parent.parent / "config.yaml"
    if beside.is_file():
        return beside
    trained = read_checkpoint(checkpoint)
    classes = [trained.method, trained.data_class.rpartition(".")[2]]
    found = [path for path in sorted(CONFIGS.glob("*.yaml")) if _classes(path) == classes]
    if not found:
        raise UsageError(f"{checkpoint}: no config here is of {classes[0]}; give --config")
    return next((path for path in found if path.stem == checkpoint.stem), found[0])


def _classes(path: Path) -> list[str]:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [config[part]["class_path"].rpartition(".")[2] for part in ("model", "data")]
