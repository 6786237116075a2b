"""What checkpoints decide, and what a command may set.

The model is used as it was trained, with the checkpoint's ``inference`` except for options that
the command line of validate, test and predict sets (``--model.inference.threshold 0.4``; those of a
config do not count, and a temperature of null is the checkpoint's). The data are prepared as in
training, except for the settings in `NOT_FROM_CHECKPOINT`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from common.errors import DataError
from experiment.checkpoints.class_paths import TRUSTED, check_classes, find_class, inside
from experiment.checkpoints.find import Source, Which, find_checkpoints
from experiment.checkpoints.read import Checkpoint, read_checkpoint
from experiment.run_results import flat_settings

log = logging.getLogger(__name__)

# Data settings of the machine or the run.
NOT_FROM_CHECKPOINT = (
    *("data_dir", "test_dir", "predict_dir", "recursive", "table", "columns"),
    *("batch_size", "eval_batch_size", "num_workers", "cache_features"),
    *("style", "style_from", "samples"),
    *("target", "templates", "template1", "template2", "test_on"),  # of older checkpoints
)
# Further settings in which members of an ensemble may differ.
SPLIT = ("folds", "fold", "seed", "val_fraction", "val_size")
TRAINING = ("augmentation", "crops_per_image")
# Settings of the model in which they may not differ, except for the initial weights.
SHARED = ("network", "class_names", "fov_only")
INITIAL = ("model.network.weights", "model.network.frozen")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint that a command uses, or those of an ensemble.

    Attributes:
        members: the first one's settings are used for all.
    """

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
        first = _shared_settings(members[0])
        for member in members[1:]:
            other = _shared_settings(member)
            name = next((n for n in {**first, **other} if first.get(n) != other.get(n)), None)
            if name is not None:
                values = f"{other.get(name)}, but {first.get(name)} in {members[0].path}"
                raise DataError(f"{member.path}: {name} is {values}; leave one out")
        return cls(members)

    @property
    def lead(self) -> Checkpoint:
        """The first member."""
        return self.members[0]

    @property
    def paths(self) -> list[Path]:
        """Files of the members."""
        return [member.path for member in self.members]

    @property
    def share_validation(self) -> bool:
        """Whether all members were trained with the same split."""
        return len({tuple(str(m.data.get(name)) for name in SPLIT) for m in self.members}) == 1

    def temperatures(self, given: float | None = None) -> list[float]:
        """Temperature of each member's logits: ``given``, or else its own, or else 1."""
        own = (dict(member.model.get("inference") or {}) for member in self.members)
        return [float(given or one.get("temperature") or 1.0) for one in own]

    def settings(
        self, given: Namespace, from_command: Sequence[str] = ()
    ) -> dict[str, dict[str, Any]]:
        """Arguments of ``model`` and ``data`` that replace those of the config.

        Args:
            given: options of the command.
            from_command: options of ``inference`` set on the command line itself; "" means all.

        Raises:
            DataError: another method's checkpoint, or it names what `check_classes` refuses.
        """
        path, model, data = self.lead.path, dict(self.lead.model), dict(self.lead.data)
        ours = given.model.class_path.rpartition(".")[2]
        if self.lead.method not in ("", ours):
            raise DataError(f"{path}: of {self.lead.method}, not {ours}; give its own config")
        # The user's own config names packages that are trusted as well.
        options = [*given.model.items(), *given.data.items()]
        named = [value for name, value in options if name.endswith("class_path")]
        packages = [*TRUSTED, *(one.partition(".")[0] for one in named if not inside(one, TRUSTED))]
        for part, values in (("model", model), ("data", data)):
            try:
                check_classes(values, find_class(given[part].class_path), part, packages)
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
        if from_command and model.get("inference"):
            for name, value in given.model.init_args.inference.as_dict().items():
                fitted = name == "temperature" and value is None
                if not fitted and {"", name} & {*from_command}:
                    model["inference"] = dict(model["inference"]) | {name: value}
        if self.lead.data_class != given.data.class_path:
            log.warning("%s: trained with another data module; preprocessing is the config's", path)
            data = {}
        data = {k: v for k, v in data.items() if k not in NOT_FROM_CHECKPOINT}
        return {"model": model, "data": data}


def log_overrides(given: Namespace, used: Namespace) -> None:
    """Log each option of model and data whose given value the checkpoint overrides.

    Null and "auto" leave the choice to the data, or to what was fitted.
    """
    for part in ("model", "data"):
        before, after = (flat_settings(c[part].clone().as_dict(), part) for c in (given, used))
        for name in sorted(before.keys() | after.keys()):
            value, own = before.get(name), after.get(name)
            if value != own and value not in (None, "auto"):
                log.warning("%s is the checkpoint's %r, not %r", name, own, value)


def _shared_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    free = {*NOT_FROM_CHECKPOINT, *SPLIT, *TRAINING}
    shared = {
        "method": checkpoint.method,
        "model": {name: checkpoint.model[name] for name in SHARED if name in checkpoint.model},
        "data": {k: v for k, v in checkpoint.data.items() if k not in free},
    }
    return {k: v for k, v in flat_settings(shared).items() if not k.startswith(INITIAL)}
