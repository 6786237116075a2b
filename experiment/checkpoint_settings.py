"""What a checkpoint says of the model and the data it was trained with, and what a command may set.

Model: all is the checkpoint's but ``inference``, which validate, test and predict may set (a
temperature that is null stays the checkpoint's). Data: all is the checkpoint's but the settings in
the data module's ``NOT_FROM_CHECKPOINT``, which belong to the machine or the run (folders, workers,
batch sizes). What was asked for and is not used is named in the log.
"""

import logging
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from common.errors import DataError
from datamodules.base import ImageDataModule
from experiment.class_paths import TRUSTED, check_classes, find_class

log = logging.getLogger(__name__)


def checkpoint_settings(
    path: Path, checkpoint: dict[str, Any], given: Namespace, keep_inference: bool
) -> dict[str, Any]:
    """Settings of the checkpoint that take the place of those of the command line.

    Args:
        path: of the checkpoint, for messages.
        checkpoint: as `read_checkpoint` returns it.
        given: the options of the subcommand.
        keep_inference: let the checkpoint say how to ask the model, too: for a resumed training.

    Returns:
        Arguments of ``model`` and ``data``, as the parser takes them.

    Raises:
        DataError: the checkpoint names something that `check_classes` refuses.
    """
    model, data = (
        {k: v for k, v in checkpoint.get(key, {}).items() if not k.startswith("_")}
        for key in ("hyper_parameters", "datamodule_hyper_parameters")
    )
    packages = [*TRUSTED, *_named_packages({"model": given.model.as_dict()})]
    packages += _named_packages({"data": given.data.as_dict()})
    for part, values in (("model", model), ("data", data)):
        kind = find_class(str(given[part].class_path))
        try:
            check_classes(values, kind, part, packages)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    if not keep_inference:
        inference = model.pop("inference", None) or {}
        # Fitted after training, so in no config: null there asks for the checkpoint's.
        asked = given.model.init_args.get("inference")
        if "temperature" in inference and asked is not None and asked.temperature is None:
            model["inference"] = {**asked.as_dict(), "temperature": inference["temperature"]}
    if (
        checkpoint.get("datamodule_hyper_parameters", {}).get("_class_path")
        != given.data.class_path
    ):
        log.warning("%s: trained with another data module; preprocessing is the config's", path)
        data = {}
    data = {k: v for k, v in data.items() if k not in ImageDataModule.NOT_FROM_CHECKPOINT}
    return {"model": model, "data": data}


def log_overrides(given: Namespace, used: Namespace) -> None:
    """Name each option of model and data in the log that was given one way and is used another."""
    for part in ("model", "data"):
        before, after = (flat_settings(c[part].clone().as_dict(), part) for c in (given, used))
        for name in sorted(before.keys() | after.keys()):
            if name == "model.inference.temperature" and before.get(name) is None:
                continue  # the checkpoint's is what was asked for
            if before.get(name) != after.get(name):
                values = name, after.get(name), before.get(name)
                log.warning("%s is the checkpoint's %r, not %r", *values)


def flat_settings(config: Any, prefix: str = "") -> dict[str, Any]:
    """``{"data.seed": 0}`` of ``{"data": {"class_path": ..., "init_args": {"seed": 0}}}``."""
    if not isinstance(config, dict):
        return {prefix: config}
    flat: dict[str, Any] = {}
    for key, part in config.items():
        if key == "class_path":
            flat[prefix] = str(part).rpartition(".")[2]
        else:
            inner = prefix if key == "init_args" else f"{prefix}.{key}".removeprefix(".")
            flat |= flat_settings(part, inner)
    return flat


def _named_packages(config: Any) -> list[str]:
    """Packages beside the trusted ones that the user's own config names classes of."""
    if isinstance(config, list):
        return [name for part in config for name in _named_packages(part)]
    if not isinstance(config, dict):
        return []
    found = [name for part in config.values() for name in _named_packages(part)]
    class_path = str(config.get("class_path", ""))
    if class_path and not class_path.startswith(tuple(f"{package}." for package in TRUSTED)):
        found.append(class_path.partition(".")[0])
    return found
