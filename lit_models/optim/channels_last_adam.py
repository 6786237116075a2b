"""Adam without copies of channels-last weights."""

from typing import Any

import torch
from torch import Tensor


class ChannelsLastAdam(torch.optim.Adam):
    """``torch.optim.Adam`` whose fused kernel sees channels-last weights as contiguous ones.

    On a CPU that kernel copies every tensor that is not contiguous, and back: of a blot step's
    weights, gradients and moments about a tenth of the step. In what order the elements lie is
    nothing to Adam, so the numbers and the optimizer's state are those of ``torch.optim.Adam``.
    """

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        has_complex = super()._init_group(group, *lists)  # type: ignore[misc]
        channels_last = [
            weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
            for weight in lists[0]
        ]
        # All four by the weight's layout: moments from a checkpoint may have another, and are then
        # copied as before, but each element must meet its own.
        for tensors in lists[:4]:  # weights, gradients, first and second moments
            tensors[:] = [
                tensor.permute(0, 2, 3, 1) if permute else tensor
                for tensor, permute in zip(tensors, channels_last, strict=True)
            ]
        return has_complex
