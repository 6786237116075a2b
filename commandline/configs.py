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
    with the same module and data module, whose settings come from the checkpoint in any case.

    Raises:
        UsageError: no config is of the checkpoint's method.
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
    from experiment.checkpoints import find_checkpoints  # torch takes a second

    checkpoint = find_checkpoints(source)[0]
    own = checkpoint.resolve().parent.parent / "config.yaml"
    return [verb, f"--config={own if own.is_file() else _of_method(checkpoint)}", *options]


def _of_method(file: Path) -> Path:
    """The first config with a checkpoint's module and data module, if any that of its name."""
    from experiment.checkpoints import read_checkpoint

    checkpoint = read_checkpoint(file)
    classes = [checkpoint.method, checkpoint.data_class.rpartition(".")[2]]
    found = []
    for path in sorted(CONFIGS.glob("*.yaml")):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        if classes == [config[k]["class_path"].rpartition(".")[2] for k in ("model", "data")]:
            found.append(path)
    if not found:
        raise UsageError(f"{file}: no config here is of {classes[0]}; give --config")
    return next((path for path in found if path.stem == file.stem), found[0])
