"""Builds a network from a checkpoint: class path, arguments and weights.

A checkpoint may come from a stranger: `class_paths` says what it may name.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import DataError
from experiment.checkpoints.class_paths import TRUSTED, find_class
from experiment.checkpoints.read import check_weights_fit


def build_network(
    settings: dict[str, Any],
    weights: dict[str, Tensor],
    *arguments: Any,
    trusted: Sequence[str] = (),
) -> nn.Module:
    """A network in eval mode with its weights, on the CPU.

    It is first built on the meta device, so that sizes that do not fit the weights are refused
    before memory is allocated.

    Args:
        settings: ``class_path`` and ``init_args``.
        weights: state dict of the network.
        arguments: positional arguments before ``init_args``.
        trusted: packages in addition to `TRUSTED`.

    Raises:
        DataError: see `find_class`; wrong arguments, or weights of another network.
    """
    with torch.device("meta"):
        check_weights_fit(weights, _instantiate(settings, arguments, trusted).state_dict())
    with torch.random.fork_rng(devices=[]):
        network = _instantiate(settings, arguments, trusted)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def _instantiate(
    settings: dict[str, Any], arguments: Sequence[Any], trusted: Sequence[str]
) -> nn.Module:
    if not isinstance(settings, dict) or "class_path" not in settings:
        raise DataError("it does not name the class of its network")
    kind = find_class(settings["class_path"], (nn.Module,), (*TRUSTED, *trusted))
    init_args = {
        name: _instantiate(value, (), trusted)
        if isinstance(value, dict) and "class_path" in value
        else value
        for name, value in (settings.get("init_args") or {}).items()
    }
    try:
        return kind(*arguments, **init_args)
    except (TypeError, ValueError, RuntimeError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"its {kind.__name__} cannot be built: {cause}") from None
