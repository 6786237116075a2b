"""Mean over images of per-batch values."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ImageMean(Metric):
    """The mean over all images of all processes; NaN if any value is.

    In place of torchmetrics' `MeanMetric`, which with ``nan_strategy="disable"`` takes no notice of
    the weights (1.9), and without it leaves NaN out and asks the device for it in each step.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor | float, count: int = 1) -> None:
        """Add the mean ``value`` of ``count`` images."""
        self.total += torch.as_tensor(value).detach().float() * count
        self.count += count

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.total / self.count
