"""The config of a checkpoint, for commands that do not name one."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from commandline.verbs import CONFIGS
from common.errors import UsageError
from experiment.checkpoints import find_checkpoints, read_checkpoint


def with_config(args: Sequence[str]) -> list[str]:
    """Add ``--config`` to validate, test and predict where ``--ckpt_path`` says which it is.

    That is the run's own ``config.yaml``, or else the first of configs/ with the same module and
    data module: their settings come from the checkpoint in any case.

    Raises:
        UsageError: the checkpoint is of a method that no config here has.
        DataError: see `find_checkpoints`.
    """
    verb, *options = args
    names = [option.partition("=")[0] for option in options]
    given = {"--config", "-c", "--help", "-h"} & {*names}
    if verb not in ("validate", "test", "predict") or given or "--ckpt_path" not in names:
        return [*args]
    place = names.index("--ckpt_path")
    source = options[place].partition("=")[2] or next(iter(options[place + 1 :]), "")
    if source in ("best", "last"):  # of which config's runs is not known
        return [*args]
    file = find_checkpoints(source)[0]
    config = file.resolve().parent.parent / "config.yaml"
    if not config.is_file():  # else the file need not be read here, too
        checkpoint = read_checkpoint(file)
        classes = [checkpoint.method, checkpoint.data_class.rpartition(".")[2]]
        found = [path for path in sorted(CONFIGS.glob("*.yaml")) if _classes(path) == classes]
        if not found:
            raise UsageError(f"{file}: no config here is of {classes[0]}; give --config")
        config = next((path for path in found if path.stem == file.stem), found[0])
    return [verb, f"--config={config}", *options]


def _classes(path: Path) -> list[str]:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [config[part]["class_path"].rpartition(".")[2] for part in ("model", "data")]
