import pytest
import torch
import torch.nn.functional as F

from lit_models.losses import BCEDiceLoss, FocalTverskyLoss

# Logits of +-40 are probabilities 1 and 0, so the counts can be read off. With smooth = 1:
TABLE = [
    # called        truth         fn    fp    exp   loss, by hand
    ([1, 1, 0, 0], [1, 0, 1, 0], 0.5, 0.5, 1.0, 1 / 3),  # TP FP FN = 1 1 1: 1 - 2/3
    ([1, 1, 0, 0], [1, 0, 1, 0], 0.5, 0.5, 0.75, 0.438691),
    ([1, 1, 0, 0], [1, 0, 1, 1], 0.7, 0.3, 1.0, 1.7 / 3.7),  # 1 1 2
    ([1, 1, 0, 0], [1, 0, 1, 1], 0.3, 0.7, 1.0, 1.3 / 3.3),
    ([1, 1, 0, 0], [1, 0, 1, 1], 0.7, 0.3, 0.75, 0.558060),
    ([1, 1, 1, 0], [1, 0, 0, 0], 0.7, 0.3, 1.0, 0.6 / 2.6),  # 1 2 0: fp_weight alone counts
    ([0, 0, 0, 0], [1, 1, 0, 0], 0.7, 0.3, 1.0, 1.4 / 2.4),  # 0 0 2: fn_weight alone counts
    ([1, 1, 0, 0], [0, 0, 0, 0], 0.5, 0.5, 1.0, 0.5),  # empty mask, 2 false positives: 1 / 2
]


def as_images(values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 2, 2)


@pytest.mark.parametrize(("called", "truth", "fn", "fp", "exponent", "loss"), TABLE)
def test_hand_computed(called, truth, fn, fp, exponent, loss):
    logits = (as_images(called) - 0.5) * 80
    got = FocalTverskyLoss(fn, fp, exponent)(logits, as_images(truth))
    assert got.item() == pytest.approx(loss, abs=1e-5)


def test_mean_over_images_not_over_all_pixels():
    logits = torch.cat([(as_images(x) - 0.5) * 80 for x in ([1, 1, 0, 0], [1, 0, 0, 0])])
    truth = torch.cat([as_images([1, 0, 1, 0]), as_images([1, 0, 0, 0])])
    loss = FocalTverskyLoss(exponent=1.0)(logits, truth)
    assert loss.item() == pytest.approx(1 / 6, abs=1e-5)


def test_a_flat_selection_of_pixels_is_pooled():
    logits, truth = (as_images([1, 1, 0, 0]) - 0.5) * 80, as_images([1, 0, 1, 1])
    loss = FocalTverskyLoss(0.7, 0.3)
    assert loss(logits[truth >= 0], truth[truth >= 0]) == loss(logits, truth)


@pytest.mark.parametrize("truth", [[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
@pytest.mark.parametrize("called", ["perfect", "opposite", "undecided"])
def test_gradient_is_finite(called, truth):
    target = as_images(truth)
    scale = {"perfect": 80.0, "opposite": -80.0, "undecided": 0.0}[called]
    logits = ((target - 0.5) * scale).requires_grad_()
    loss = FocalTverskyLoss()(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    if called == "undecided" and not any(truth):
        assert (logits.grad > 1e-3).all(), "an empty mask teaches, too"


def test_float32_under_autocast():
    # 512 x 512 ones cannot be counted in bfloat16, which has 8 bits.
    logits = torch.full((1, 1, 512, 512), 0.1, dtype=torch.bfloat16)
    target = torch.ones(1, 1, 512, 512)
    plain = FocalTverskyLoss()(logits.float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        loss = FocalTverskyLoss()(logits, target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)


def test_bce_dice_is_the_sum():
    logits, truth = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    bce = F.binary_cross_entropy_with_logits(logits, truth)
    dice = FocalTverskyLoss(0.5, 0.5, exponent=1.0)(logits, truth)
    assert BCEDiceLoss(2.0)(logits, truth) == pytest.approx(float(bce + 2 * dice))
