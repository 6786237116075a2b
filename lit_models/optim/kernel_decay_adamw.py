"""AdamW that decays convolution and matrix weights alone."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from common.ranges import NonNegativeFinite


class KernelDecayAdamW(torch.optim.AdamW):
    """``torch.optim.AdamW`` without weight decay for biases and normalization (vectors).

    Decaying those only shifts the network's output (He et al. 2018, arXiv 1812.01187).

    Args:
        params: parameters, not groups.
        lr: learning rate.
        weight_decay: of parameters with two dimensions or more.
        betas: as Adam's.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: NonNegativeFinite = 1e-3,
        weight_decay: NonNegativeFinite = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        params = list(params)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in params if p.ndim > 1]},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
        ]
        # Plain numbers, for the state goes into checkpoints that hold nothing else.
        super().__init__(groups, float(lr), betas, weight_decay=float(weight_decay))
