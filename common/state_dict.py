"""Files of weights as people have them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import DataError

NESTED = ("state_dict", "model_state_dict", "model")


def read_state_dict(path: Path) -> dict[str, Any]:
    """Tensors by name from ``.safetensors`` or a file of ``torch.save``, also nested in a dict.

    Raises:
        DataError: no such file, or something else than tensors by name.
    """
    import torch

    if not path.is_file():
        raise DataError(f"{path}: no such file; give a file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise DataError(f"{path}: needs safetensors; pip install safetensors") from None
    except Exception as error:  # of pickle, torch or safetensors
        cause = str(error).partition("\n")[0].partition(". ")[0][:120]
        raise DataError(f"{path}: not a state dict that can be read ({cause})") from None
    while isinstance(found, Mapping) and (inner := next((k for k in NESTED if k in found), None)):
        found = found[inner]
    if not isinstance(found, Mapping) or not all(map(torch.is_tensor, found.values())):
        raise DataError(f"{path}: not a state dict; save network.state_dict()")
    return dict(found)
