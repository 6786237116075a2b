"""Cross-entropy and Dice loss in one."""

import torch.nn.functional as F
from torch import Tensor, nn

from common.ranges import NonNegativeFinite
from lit_models.losses.focal_tversky import FocalTverskyLoss


class BCEDiceLoss(nn.Module):
    """Binary cross-entropy on logits plus ``dice_weight`` times the Dice loss."""

    def __init__(self, dice_weight: NonNegativeFinite = 1.0) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.dice = FocalTverskyLoss(fn_weight=0.5, fp_weight=0.5, exponent=1.0)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Scalar float32 loss; shapes as `FocalTverskyLoss` takes them."""
        bce = F.binary_cross_entropy_with_logits(logits.float(), target.float())
        return bce + self.dice_weight * self.dice(logits, target)
