"""What checkpoints decide, and what a command may set.

The model is as it was trained, and is used with the checkpoint's ``inference``, as `load` does, but
for what the command line of validate, test and predict itself sets (``--model.inference.threshold
0.4``; a config's does not count, and a temperature of null is the checkpoint's). The data are
prepared as in training, but for the settings in `NOT_FROM_CHECKPOINT`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import DataError
from experiment.checkpoints.class_paths import TRUSTED, check_classes, find_class
from experiment.checkpoints.find import Source, Which, find_checkpoints
from experiment.checkpoints.read import Checkpoint, check_same_method, read_checkpoint

if TYPE_CHECKING:  # jsonargparse takes a third of a second
    from jsonargparse import Namespace

log = logging.getLogger(__name__)

# Data settings of the machine or the run.
NOT_FROM_CHECKPOINT = (
    "data_dir",
    "test_dir",
    "predict_dir",
    "test_on",
    "recursive",
    "table",
    "columns",
    "target",
    "templates",
    "batch_size",
    "eval_batch_size",
    "num_workers",
    "cache_features",
    "style",
    "style_from",
    "samples",
    *("test_on", "template1", "template2"),  # of older checkpoints
)
# What members of an ensemble may differ in, too.
SPLIT = ("folds", "fold", "seed", "val_fraction", "val_size")
TRAINING = ("augmentation", "crops_per_image")
# Settings of the model in which they may not differ, but for what the network began with.
ALIKE = ("network", "class_names", "fov_only")
STARTS = ("model.network.weights", "model.network.frozen")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint that a command uses, or the members of an ensemble, which the first leads."""

    members: Sequence[Checkpoint]

    @classmethod
    def open(
        cls, source: Source, which: Which = "best", runs: Sequence[Path] = ()
    ) -> "Checkpoints":
        """Find and read them; see `find_checkpoints`.

        Raises:
            DataError: none is found, one cannot be read, or members differ in class, network or
                preprocessing.
        """
        members = [read_checkpoint(path) for path in find_checkpoints(source, which, runs)]
        first = _to_agree(members[0])
        for member in members[1:]:
            other = _to_agree(member)
            for name in [*first, *(n for n in other if n not in first)]:
                if first.get(name) != other.get(name):
                    raise DataError(
                        f"{member.path}: {name} is {other.get(name)}, but {first.get(name)} in "
                        f"{members[0].path}; members of an ensemble have one network and one "
                        "preprocessing"
                    )
        return cls(members)

    @property
    def lead(self) -> Checkpoint:
        """The first member, whose settings hold for all."""
        return self.members[0]

    @property
    def paths(self) -> list[Path]:
        """Files of the members."""
        return [member.path for member in self.members]

    @property
    def share_validation(self) -> bool:
        """Whether all members held the same images out."""
        splits = {tuple(str(m.data.get(name)) for name in SPLIT) for m in self.members}
        return len(splits) == 1

    def temperatures(self, asked: float | None = None) -> list[float]:
        """Temperature of each member's logits: ``asked``, or else its own, or else 1."""
        own = (dict(member.model.get("inference") or {}) for member in self.members)
        return [float(asked or one.get("temperature") or 1.0) for one in own]

    def settings(self, given: "Namespace", asked: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Arguments of ``model`` and ``data`` that replace those of the config.

        Args:
            given: options of the command.
            asked: those of ``inference`` that the command line itself sets, such as "threshold"; ""
                stands for all.

        Raises:
            DataError: another method's checkpoint, or it names what `check_classes` refuses.
        """
        path, model, data = self.lead.path, dict(self.lead.model), dict(self.lead.data)
        check_same_method(self.lead, given.model.class_path)
        parts = {part: given[part].as_dict() for part in ("model", "data")}
        packages = [*TRUSTED, *_named_packages([*parts.values()])]
        for part, values in (("model", model), ("data", data)):
            try:
                check_classes(values, find_class(given[part].class_path), part, packages)
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
        if asked and model.get("inference"):
            values = given.model.init_args.inference.as_dict()
            names = values if "" in asked else [name for name in asked if name in values]
            chosen = {name: values[name] for name in names}
            if chosen.get("temperature", 0) is None:  # fitted after training
                del chosen["temperature"]
            model["inference"] = dict(model["inference"]) | chosen
        if self.lead.data_class != given.data.class_path:
            log.warning("%s: trained with another data module; preprocessing is the config's", path)
            data = {}
        data = {k: v for k, v in data.items() if k not in NOT_FROM_CHECKPOINT}
        return {"model": model, "data": data}


# Found in the data or fitted, so in no config.
FITTED = ("model.inference.temperature", "data.class_names", "data.channels", "data.template_count")


def log_overrides(given: "Namespace", used: "Namespace") -> None:
    """Log each option of model and data that was given one way and is used another."""
    for part in ("model", "data"):
        before, after = (flat_settings(c[part].clone().as_dict(), part) for c in (given, used))
        for name in sorted(before.keys() | after.keys()):
            if name in FITTED and before.get(name) in (None, "auto"):
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


def _to_agree(checkpoint: Checkpoint) -> dict[str, Any]:
    free = {*NOT_FROM_CHECKPOINT, *SPLIT, *TRAINING}
    agreed = {
        "method": checkpoint.method,
        "model": {name: checkpoint.model[name] for name in ALIKE if name in checkpoint.model},
        "data": {k: v for k, v in checkpoint.data.items() if k not in free},
    }
    return {k: v for k, v in flat_settings(agreed).items() if not k.startswith(STARTS)}


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
