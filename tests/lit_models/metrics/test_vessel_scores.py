import pytest
import torch
from torchmetrics.classification import BinaryAUROC

from lit_models.metrics.vessel_scores import BinnedAUROC, VesselScores


def update(scores, probability, truth):
    """Add an image of one row without a field of view; its own scores by name."""
    own = scores.update(torch.tensor(probability)[None], torch.tensor([[truth]]) > 0, None)
    return {name.removeprefix("full_image/"): value for name, value in own.items()}


def whole(scores):
    return {k.removeprefix("full_image/"): v for k, v in scores.compute().items()}


def test_scores_of_one_image_and_of_the_pool_by_hand():
    scores, p = VesselScores(), [0.9, 0.8, 0.3, 0.2]
    update(scores, p, [1, 0, 1, 0])  # TP FP FN TN = 1 1 1 1
    update(scores, p, [1, 1, 0, 0])  # 2 0 0 2
    got = whole(scores)  # pooled: 3 1 1 3
    for name, first, second, pooled in (
        ("dice", 1 / 2, 1, 3 / 4),
        ("iou", 1 / 3, 1, 3 / 5),
        ("mean_iou", 1 / 3, 1, 3 / 5),
        ("auroc", 3 / 4, 1, None),
        ("sensitivity", 1 / 2, 1, 3 / 4),
        ("specificity", 1 / 2, 1, 3 / 4),
    ):
        assert got[f"{name}_image_mean"] == pytest.approx((first + second) / 2)
        if pooled is not None:
            assert got[f"{name}_pooled"] == pytest.approx(pooled)
    scores.reset()
    assert set(scores.compute()) == {"loss"}, "nothing is left over, and nothing means no score"


def test_the_field_of_view_is_scored_where_there_is_one():
    truth, fov = torch.zeros(1, 4, 4, dtype=torch.bool), torch.ones(1, 4, 4, dtype=torch.bool)
    truth[0, 1], fov[0, 0] = True, False
    p = truth[0].float()
    p[0] = 1.0  # wrong, but outside
    scores = VesselScores(0.5, True)
    scores.update(p, truth, fov)
    found = scores.compute()
    assert found["fov/dice_pooled"] == 1
    assert found["full_image/dice_pooled"] == pytest.approx(2 / 3)
    assert "fov/best_threshold_pooled" in found
    assert "fov/best_threshold_image_mean" not in found
    scores.reset()
    scores.update(p, truth, None)
    assert not any(name.startswith("fov/") for name in scores.compute())


def test_a_probability_at_the_threshold_is_background():
    own = update(VesselScores(0.5), [0.5, 0.6], [0, 1])
    assert own["dice_image_mean"] == own["mean_iou_image_mean"] == 1


def test_binned_auroc_is_the_exact_one_to_4_places_and_its_memory_is_bounded():
    torch.manual_seed(0)
    truth = torch.rand(20_000) < 0.1
    p = (torch.randn(20_000) * 2 - 5 + 5 * truth).sigmoid()  # most of it close to 0, as in images
    p[~truth & (torch.rand(20_000) < 0.3)] = 0.0  # and some exactly there, outside the FOV
    scores, binned = VesselScores(find_threshold=True), BinnedAUROC()
    for part, target in zip(p.chunk(4), truth.chunk(4), strict=True):
        scores.update(part[None], target[None, None], None)
        binned.update(part, target)
    got = whole(scores)
    exact = BinaryAUROC()(p, truth.long()).item()
    assert got["auroc_pooled"].item() == pytest.approx(exact, abs=1e-4)
    same = BinaryAUROC(thresholds=binned.thresholds)
    same.update(p, truth.long())
    assert torch.equal(same.confmat, binned.confmat)
    assert binned.confmat.numel() == 4004
    dice = [2 * ((p > t) & truth).sum() / ((p > t).sum() + truth.sum()) for t in (0.2, 0.8)]
    best = got["best_threshold_pooled"]
    assert 2 * ((p > best) & truth).sum() / ((p > best).sum() + truth.sum()) >= max(dice)


def test_values_above_1_are_not_taken_for_logits():
    own = update(VesselScores(), [0.1, 0.2, 0.3, 0.9, 1 + 1.2e-7], [0, 0, 0, 1, 1])
    assert all(own[f"{name}_image_mean"] == 1 for name in ("dice", "specificity", "auroc"))
