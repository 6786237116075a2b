"""Base class of what is exported: from the pixels of files to predictions, as one graph.

Each task's graph calls the functions that its model calls: what is predicted, loaded and exported
is one code. A graph is traced (``torch.export``), so none of it may depend on a tensor's values.
Pixels are resized in uint8, for which ONNX has no antialiased ``Resize`` like torch's: at most one
gray level beside it, in less than 2 % of the pixels in six sizes tried.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from datamodules import blot_draws
from datamodules.transforms import field_of_view

# What gives an input that is not in the files, by its name; needs numpy and scipy alone.
MORE_INPUTS = {"fov": field_of_view, "noise": blot_draws}
SIDES = (67, 81)  # of what is traced: multiples of nothing, so that no padding is left out


class Graph(nn.Module):
    """A network with the pre- and postprocessing of its task.

    ``forward`` takes `inputs` and gives `outputs`, each of them tensors of a batch.

    Attributes:
        inputs: name and example of each; batch, height and width of the example become free.
        outputs: their names.
        fixed: inputs of which the batch alone is free.
    """

    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    fixed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def free_sides(self) -> tuple[dict[int, Any], ...]:
        """Of each input, in the terms of ``torch.export``."""
        from torch.export import Dim

        axes = ([0] if name in self.fixed else [0, 1, 2] for name in self.inputs)
        return tuple(dict.fromkeys(free, Dim.DYNAMIC) for free in axes)


def pixels_example(mode: str) -> Tensor:
    """Images as files have them, uint8 ``(N, H, W)`` for "L" or ``(N, H, W, 3)`` for "RGB"."""
    return torch.zeros(2, *SIDES, *([3] if mode == "RGB" else []), dtype=torch.uint8)


def channels_first(pixels: Tensor) -> Tensor:
    """Such images as ``(N, C, H, W)``."""
    return pixels[:, None] if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)
