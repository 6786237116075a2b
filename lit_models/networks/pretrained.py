"""Pretrained weights of torchvision's networks, from its server or from a file."""

import hashlib
import pickle
import socket
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import get_model_weights

from common.errors import DataError
from common.paths import expand
from common.state_dict import read_state_dict


def read_state(name: str, weights: str) -> dict[str, Tensor]:
    """State dict for the torchvision network ``name``.

    Args:
        name: as ``torchvision.models.get_model`` takes it.
        weights: a name of the network's weights in torchvision ("IMAGENET1K_V1"), which are
            downloaded once, or the file of a state dict.

    Raises:
        DataError: torchvision can neither find the weights in its cache nor download them; the
            file is missing or holds no state dict.
    """
    known = get_model_weights(name)
    if weights not in known.__members__:
        path = expand(weights)
        if not path.is_file():
            names = ", ".join(known.__members__)
            raise DataError(f"{weights}: no such weights file, nor one of {names}, random")
        return read_state_dict(path)
    source = known[weights]
    cache = Path(torch.hub.get_dir(), "checkpoints", Path(source.url).name)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # urllib's default is to wait for ever
    try:
        state = dict(source.get_state_dict(progress=True, check_hash=True, weights_only=True))
        _check_hash(cache)  # torch checks what it downloads, not what lies there already
        return state
    except pickle.UnpicklingError:
        raise DataError(f"{cache}: not a file of weights alone; remove it") from None
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{cache}: not there and cannot be downloaded ({error}); get it from {source.url}, "
            "give --model.network.weights a file, or train a small network without them: "
            "--config configs/from_scratch/aoi.yaml behind the config"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)


def _check_hash(path: Path) -> None:
    """Compare a file with the beginning of its SHA-256 that torchvision's names end in."""
    expected = path.stem.rpartition("-")[2]
    with path.open("rb") as file:
        if not hashlib.file_digest(file, "sha256").hexdigest().startswith(expected):
            raise DataError(f"{path}: not the file that its name says; remove it")
