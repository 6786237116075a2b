"""The weights of checkpoints: checked, in a network built for them, or in a new model.

A checkpoint may come from a stranger: `class_paths` says what it may name.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import DataError
from common.paths import expand
from common.state_dict import read_state_dict
from experiment.checkpoints.class_paths import TRUSTED, find_class
from experiment.checkpoints.find import find_checkpoints
from experiment.checkpoints.read import read_checkpoint

log = logging.getLogger(__name__)

# Prefixes of names in other projects' state dicts and in this one's.
THEIRS = ("", "module.", "model.", "network.", "backbone.", "encoder.", "network.backbone.")
OURS = ("", "network.", "network.backbone.", "generator.")
HEAD = "network.head."


def check_finite(path: str | Path | None, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights of the checkpoint ``path`` that are NaN or infinite.

    Raises:
        DataError: names the first such weight.
    """
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise DataError(f"{path}: {name} is not finite; give a checkpoint of an earlier epoch")


def check_weights_fit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse the weights of a checkpoint that are not those of a model.

    Raises:
        DataError: names or shapes differ; names the first that does, but not the file.
    """
    stored, own = ({k: tuple(v.shape) for k, v in state.items()} for state in (weights, expected))
    mismatched_keys = [name for name in {**own, **stored} if own.get(name) != stored.get(name)]
    if mismatched_keys:
        first = mismatched_keys[0]
        shapes = f"{stored.get(first, 'nothing')}, not {own.get(first, 'nothing')}"
        count = f"{len(mismatched_keys)} of its weights are not those of this model"
        raise DataError(f"{count}: {first} is {shapes}; give the config it was trained with")


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
    init_args = dict(settings.get("init_args") or {})
    for name, value in init_args.items():
        if isinstance(value, dict) and "class_path" in value:
            init_args[name] = _instantiate(value, (), trusted)
    try:
        return kind(*arguments, **init_args)
    except (TypeError, ValueError, RuntimeError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"its {kind.__name__} cannot be built: {cause}") from None


def initialize(model: Any, source: str) -> None:
    """Load the weights of ``source`` that fit into a LightningModule, and log which do.

    Args:
        model: a LightningModule. Its head stays new where its classes have other names.
        source: a run folder, a checkpoint, or the file of a state dict (``.pth`` or
            ``.safetensors``), also one nested in a dict, of a wrapped module (``module.``), of
            a bare backbone, or without a head.

    Raises:
        DataError: no such file, not weights, or none of them fits.
    """
    path, theirs = expand(source), None
    if path.suffix == ".ckpt" or path.is_dir():
        checkpoint = read_checkpoint(find_checkpoints(path)[0])
        weights, theirs = checkpoint.weights, checkpoint.model.get("class_names")
    else:
        weights = read_state_dict(path)
    check_finite(path, weights)
    own = model.state_dict()
    taken = _best_match(weights, own)
    ours = model.hparams.get("class_names")
    if theirs is not None and ours is not None and list(theirs) != list(ours):
        taken = {name: value for name, value in taken.items() if not name.startswith(HEAD)}
    if not taken:
        raise DataError(f"init_from: {path}: none of its {len(weights)} weights fits this network")
    model.load_state_dict({**own, **taken})
    if hasattr(getattr(model, "network", None), "weights"):
        model.network.weights = "random"  # else they would be read into it
    new = [name for name in own if name not in taken]
    names = ", ".join([*new[:4], "..."] if len(new) > 4 else new) or "none"
    log.info("init_from: %d of %d weights from %s; new are %s", len(taken), len(own), path, names)


def _best_match(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that fit by name and shape, with the prefixes for which most of them fit."""
    best: dict[str, Tensor] = {}
    for theirs, ours in product(THEIRS, OURS):
        ends = {k.removeprefix(theirs): v for k, v in weights.items() if k.startswith(theirs)}
        renamed = {ours + name: value for name, value in ends.items()}
        fits = {k: v for k, v in renamed.items() if k in own and own[k].shape == v.shape}
        best = max(best, fits, key=len)
    return best
