"""Losses of overlap: Focal Tversky, its weights named by what they weigh, and Dice."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ranges import NonNegativeFinite, PositiveFinite


class FocalTverskyLoss(nn.Module):
    """``(1 - TI) ** exponent``, ``TI = (TP + s) / (TP + fn_weight FN + fp_weight FP + s)``.

    TP, FN and FP are sums of probabilities over one image and channel, and the loss is the mean
    over images and channels; or sums over all pixels, where a flat selection of them is given.
    Weights of 0.5 make TI the Dice coefficient.

    Sources disagree on the letters, hence no alpha and beta here: Salehi et al. 2017
    (arXiv 1706.05721), the Tversky loss, has alpha on false positives and beta on false negatives;
    Abraham and Khan 2018 (arXiv 1810.07842), the focal one, has alpha = 0.7 on false negatives.
    The latter writes the exponent as 1 / gamma with gamma = 4/3, that is 0.75; much code calls the
    exponent itself gamma, as the reference does with its 0.75.

    An exponent below 1 has an infinite slope at TI = 1, so 1 - TI is kept above 1e-6, where the
    gradient is 0. With ``smooth`` = 1 an empty mask gives loss 0 for an empty prediction and a
    finite gradient against every false positive.

    Args:
        fn_weight: of vessel that was missed.
        fp_weight: of background that was called vessel.
        exponent: below 1 dwells on nearly good images, above 1 on bad ones.
        smooth: s above, in px.
    """

    def __init__(
        self,
        fn_weight: NonNegativeFinite = 0.5,
        fp_weight: NonNegativeFinite = 0.5,
        exponent: PositiveFinite = 0.75,
        smooth: PositiveFinite = 1.0,
    ) -> None:
        super().__init__()
        self.fn_weight, self.fp_weight = fn_weight, fp_weight
        self.exponent, self.smooth = exponent, smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Scalar float32 loss, also under autocast.

        Args:
            logits: ``(N, C, H, W)``, or ``(P,)`` selected pixels; before the sigmoid.
            target: the same shape, 0 to 1.
        """
        pixels = tuple(range(2, logits.ndim)) or (0,)
        with torch.autocast(logits.device.type, enabled=False):
            target, probability = target.float(), logits.float().sigmoid()
            tp = (probability * target).sum(dim=pixels)
            fn = ((1 - probability) * target).sum(dim=pixels)
            fp = (probability * (1 - target)).sum(dim=pixels)
            bottom = tp + self.fn_weight * fn + self.fp_weight * fp + self.smooth
            # 1 - TI without the cancellation of two nearly equal numbers.
            loss = (self.fn_weight * fn + self.fp_weight * fp) / bottom
            return loss.clamp_min(1e-6).pow(self.exponent).mean()


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
