"""Ranges of torch's own settings, which its classes do not declare as types."""

import math
from typing import Any

from experiment.arguments import UsageError
from experiment.checkpoint_settings import flat_settings
from experiment.type_words import quoted

# By the option's last name, below ``model``: the least and the greatest value.
RANGES: dict[str, tuple[float, float]] = {
    "lr": (0, math.inf),
    "weight_decay": (0, math.inf),
    "eps": (0, math.inf),
    "momentum": (0, 1),
    "label_smoothing": (0, 1),
    "factor": (0, math.inf),
    "patience": (0, math.inf),
    "cooldown": (0, math.inf),
}
NEVER_NULL = ("lr", "weight_decay", "momentum", "label_smoothing")
LARGEST_SEED = 2**32 - 1


def check_torch_ranges(config: dict[str, Any]) -> None:
    """Refuse what torch would train with, or stop at in the first step.

    Args:
        config: the options of a subcommand as nested dicts.

    Raises:
        UsageError: a value is out of its range, infinite or no number.
    """
    seed = config["seed_everything"]
    if not isinstance(seed, bool) and not 0 <= seed <= LARGEST_SEED:
        raise UsageError(f"seed_everything: must be a number from 0 to {LARGEST_SEED}, not {seed}")
    for option, value in flat_settings(config["model"], "model").items():
        name = option.rpartition(".")[2]
        if name not in RANGES or not (isinstance(value, (int, float)) or name in NEVER_NULL):
            continue
        least, most = RANGES[name]
        if value is None or not math.isfinite(value) or not least <= value <= most:
            limit = "" if most == math.inf else f" and <= {most:g}"
            raise UsageError(
                f"{option}: must be a number >= {least:g}{limit}, not {quoted(str(value))}"
            )
