"""A checkpoint as the Hugging Face hub has models: ``model.safetensors`` and ``config.json``.

Nothing in either runs code. The network part, `fetch`, is tested with the hub's offline mode alone.
"""

import json
from pathlib import Path
from typing import Any

import torch

from common.errors import DataError
from common.limits import CHECKPOINT_PICKLE_BYTES

WEIGHTS, SETTINGS = "model.safetensors", "config.json"


def fetch(address: str) -> Path:
    """The weights of ``hf://user/name``: downloaded, or of the hub's cache.

    ``HF_HUB_OFFLINE=1`` takes the cache alone, ``HF_TOKEN`` reads private models.

    Raises:
        DataError: huggingface_hub is missing, or the model cannot be had.
    """
    try:
        from huggingface_hub import snapshot_download

        name = address.removeprefix("hf://").strip("/")
        return Path(snapshot_download(name, allow_patterns=[WEIGHTS, SETTINGS])) / WEIGHTS
    except ImportError:
        raise DataError(f"{address}: needs huggingface_hub; pip install -e '.[hub]'") from None
    except Exception as error:  # of the hub, of its HTTP client and of the file system
        cause = str(error).strip().partition("\n")[0]
        raise DataError(
            f"{address}: cannot be had ({cause}); give hf://user/name, as huggingface.co has it"
        ) from None


def write_folder(content: dict[str, Any], weights: Path) -> None:
    """Write a checkpoint's content as ``weights``, a `WEIGHTS`, and `SETTINGS` beside it."""
    from safetensors.torch import save_file

    tensors = {name: value.clone() for name, value in content["state_dict"].items()}

    def plain(value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return {key: plain(part, f"{name}/{key}") for key, part in value.items()}
        if torch.is_tensor(value):
            tensors[name] = value.clone()
        return None if torch.is_tensor(value) else value

    settings = plain(content | {"state_dict": {}}, "")
    save_file({name: value.contiguous() for name, value in tensors.items()}, weights)
    text = json.dumps(settings, indent=2) + "\n"
    weights.with_name(SETTINGS).write_text(text, encoding="utf-8")


def read_folder(weights: Path) -> dict[str, Any]:
    """The content that `write_folder` wrote; any exception for files that are not of it."""
    from safetensors.torch import load_file

    settings = weights.with_name(SETTINGS)
    if settings.stat().st_size > CHECKPOINT_PICKLE_BYTES:
        raise ValueError("a structure of this size is not a model's")
    content: dict[str, Any] = json.loads(settings.read_text(encoding="utf-8"))
    for name, tensor in load_file(weights).items():
        place = content if "/" in name else content["state_dict"]
        *parents, last = name.strip("/").split("/")
        for parent in parents:
            place = place[parent]
        place[last] = tensor
    return content
