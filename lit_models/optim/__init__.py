"""Optimizers and learning-rate schedules that configs name beside torch's own."""

from lit_models.optim.kernel_decay_adamw import KernelDecayAdamW
from lit_models.optim.schedules import CosineAnnealing, LinearDecay, OneCycle

__all__ = ["CosineAnnealing", "KernelDecayAdamW", "LinearDecay", "OneCycle"]
