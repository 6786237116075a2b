"""Adam without needless copies of channels-last weights."""

from typing import Any

import torch
from torch import Tensor


def dense(tensor: Tensor) -> Tensor:
    """A contiguous view of a channels-last ``(N, C, H, W)``; any other tensor as it is."""
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1)
    return tensor


class DenseAdam(torch.optim.Adam):
    """``torch.optim.Adam`` whose fused kernel sees channels-last weights as contiguous ones.

    On a CPU that kernel copies every tensor that is not contiguous, and back: of a blot step's
    weights, gradients and moments about a tenth of the step. In what order the elements lie is
    nothing to Adam, so the numbers and the optimizer's state are those of ``torch.optim.Adam``.
    """

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        has_complex = super()._init_group(group, *lists)  # type: ignore[misc]
        for tensors in lists[:4]:  # weights, gradients, first and second moments
            tensors[:] = map(dense, tensors)
        return has_complex
