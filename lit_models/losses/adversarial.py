"""Adversarial losses on the discriminator's logits, of any shape."""

import torch.nn.functional as F
from torch import Tensor, nn

from common.ranges import NonNegativeFinite


class BCEAdversarialLoss(nn.Module):
    """Binary cross-entropy, non-saturating for G (Goodfellow et al. 2014, arXiv 1406.2661).

    A loss for the discriminator (D) and one for the generator (G); float32 under autocast too.
    Where D cannot tell real from fake they are 2 log 2 and log 2.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Sum of the real and of the fake term, a scalar."""
        return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """G's loss, a scalar."""
        return F.softplus(-fake.float()).mean()


class CenteredBCEAdversarialLoss(BCEAdversarialLoss):
    """BCE that keeps the middle between D's mean logits of real and generated images at 0.

    A D that can hardly tell lets both drift to one side, and its sign then says nothing.

    Args:
        drift: weight of the squared sum of both means.
    """

    def __init__(self, drift: NonNegativeFinite = 1.0) -> None:
        super().__init__()
        self.drift = drift

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        middle = real.float().mean() + fake.float().mean()
        return super().discriminator(real, fake) + self.drift * middle.square()
