"""The config of a command line: by its name, or that of the checkpoint."""

from collections.abc import Sequence
from pathlib import Path

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def with_config(args: Sequence[str]) -> list[str]:
    """A verb and its options, with the path of each config.

    ``aoi`` after ``--config`` becomes the path of configs/aoi.yaml. Where validate, test or predict
    have none, the one of ``--ckpt_path`` is added: the run's own ``config.yaml``, or for shipped
    weights that of their name.

    Raises:
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

    checkpoint = find_checkpoints(source)[0].resolve()
    paths = (checkpoint.parent.parent / "config.yaml", CONFIGS / f"{checkpoint.stem}.yaml")
    return [verb, *(f"--config={path}" for path in paths if path.is_file())][:2] + options
