"""Weights of a trained model for a new training: other classes, data or sizes."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import DataError
from experiment.checkpoints.find import find_checkpoints
from experiment.checkpoints.read import check_finite, read_checkpoint

log = logging.getLogger(__name__)

# Keys of nested state dicts, and prefixes of names in other projects and in this one.
NESTED = ("state_dict", "model_state_dict", "model")
THEIRS = ("", "module.", "model.", "network.", "backbone.", "encoder.", "network.backbone.")
OURS = ("", "network.", "network.backbone.", "generator.")
HEAD = "network.head."


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
    path = Path(source).expanduser()
    if path.suffix == ".ckpt" or path.is_dir():
        checkpoint = read_checkpoint(find_checkpoints(path)[0])
        path, weights = checkpoint.path, checkpoint.weights
        theirs = checkpoint.model.get("class_names")
    else:
        weights, theirs = _read_state(path), None
    check_finite(path, weights)
    own = model.state_dict()
    taken = _best_match(weights, own)
    ours = model.hparams.get("class_names")
    if theirs is not None and ours is not None and list(theirs) != list(ours):
        taken = {name: value for name, value in taken.items() if not name.startswith(HEAD)}
    if not taken:
        raise DataError(f"init_from: {path}: none of its {len(weights)} weights fits this network")
    model.load_state_dict({**own, **taken})
    if isinstance(getattr(model, "network", None), nn.Module) and hasattr(model.network, "weights"):
        model.network.weights = "random"  # else they would be read into it
    new = [name for name in own if name not in taken]
    log.info("init_from: %d of %d weights are those of %s", len(taken), len(own), path)
    if new:
        more = f" and {len(new) - 4} more" if len(new) > 4 else ""
        log.info("init_from: new are %s%s", ", ".join(new[:4]), more)


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"init_from: {path}: no such file; give a run, a checkpoint or weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise DataError(f"init_from: {path}: needs safetensors; pip install safetensors") from None
    except Exception as error:  # of pickle, torch or safetensors
        cause = str(error).partition("\n")[0][:120]
        raise DataError(f"init_from: {path}: not a file of weights ({cause})") from None
    while isinstance(found, Mapping) and (inner := next((k for k in NESTED if k in found), None)):
        found = found[inner]
    if not isinstance(found, Mapping) or not all(map(torch.is_tensor, found.values())):
        raise DataError(f"init_from: {path}: not a state dict; save model.state_dict()")
    return dict(found)


def _best_match(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that fit by name and shape, with the prefixes for which most of them fit."""
    best: dict[str, Tensor] = {}
    for theirs in THEIRS:
        for ours in OURS:
            renamed = {
                ours + name.removeprefix(theirs): value
                for name, value in weights.items()
                if name.startswith(theirs)
            }
            fits = {k: v for k, v in renamed.items() if k in own and own[k].shape == v.shape}
            best = max(best, fits, key=len)
    return best
