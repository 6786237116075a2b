"""The Focal Tversky loss, its weights named by what they weigh."""

import torch
from torch import Tensor, nn


class FocalTverskyLoss(nn.Module):
    """``(1 - TI) ** exponent``, ``TI = (TP + s) / (TP + fn_weight FN + fp_weight FP + s)``.

    TP, FN and FP are sums of probabilities over one image and channel; the loss is the mean over
    images and channels. Weights of 0.5 make TI the Dice coefficient.

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
        fn_weight: float = 0.5,
        fp_weight: float = 0.5,
        exponent: float = 0.75,
        smooth: float = 1.0,
    ) -> None:
        super().__init__()
        if min(fn_weight, fp_weight) < 0 or exponent <= 0 or smooth <= 0:
            raise ValueError("weights of Focal Tversky are >= 0, its exponent and smooth > 0")
        self.fn_weight, self.fp_weight = fn_weight, fp_weight
        self.exponent, self.smooth = exponent, smooth

    def forward(self, logits: Tensor, target: Tensor, region: Tensor | None = None) -> Tensor:
        """Scalar float32 loss, also under autocast.

        Args:
            logits: ``(N, C, H, W)``, before the sigmoid.
            target: the same shape, 0 or 1.
            region: broadcastable to it, 1 where pixels count and 0 where not; None counts all.
        """
        with torch.autocast(logits.device.type, enabled=False):
            target = target.float()
            probability = logits.float().sigmoid()
            weight = torch.ones_like(target) if region is None else region.float()
            tp = (weight * probability * target).sum(dim=(2, 3))
            fn = (weight * (1 - probability) * target).sum(dim=(2, 3))
            fp = (weight * probability * (1 - target)).sum(dim=(2, 3))
            bottom = tp + self.fn_weight * fn + self.fp_weight * fp + self.smooth
            # 1 - TI without the cancellation of two nearly equal numbers.
            loss = (self.fn_weight * fn + self.fp_weight * fp) / bottom
            return loss.clamp_min(1e-6).pow(self.exponent).mean()
