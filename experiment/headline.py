"""Metrics in words, which of them a reader looks for first, and a run's result in one sentence."""

from collections.abc import Iterable

from experiment.run_results import RunResults
from experiment.tasks import task_of

CONFIDENCE = 0.95  # of intervals
WORDS = {
    "train": "Training",
    "val": "Validation",
    "test": "Test",
    "fov": "in the field of view",
    "full_image": "in the whole photograph",
    "dice": "Dice",
    "iou": "IoU of vessels",
    "mean_iou": "IoU, mean of vessels and background",
    "auroc": "AUROC",
    "f1_macro": "F1, mean over classes",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "l1": "L1",
    "d_loss": "loss of D",
    "g_loss": "loss of G",
}
SPLITS = {"test": "test", "val": "validation", "train": "training"}


def in_words(metric: str, stage: bool = True) -> str:
    """ "Validation Dice in the field of view" for "val/fov/dice_pooled".

    Args:
        metric: as it is logged.
        stage: begin with the stage.
    """
    first, *region, name = metric.removesuffix("_pooled").split("/")
    plain = name.removesuffix("_image_mean")
    mean = ["(mean over images)"] if plain != name else []
    words = [WORDS.get(one, one.replace("_", " ")) for one in (first, plain, *region)]
    return " ".join([*words, *mean][0 if stage else 1 :])


def main_metrics(task: str, stage: str, logged: Iterable[str]) -> list[str]:
    """The task's main metrics of ``stage`` that were logged, in their order.

    Those of the whole photograph are left out where there are some of the field of view.
    """
    names = {*logged}
    found = [f"{stage}/{name}" for name in task_of(task).main_metrics]
    found = [name for name in found if name in names]
    if any("/fov/" in name for name in found):
        found = [name for name in found if "/full_image/" not in name]
    return found


def headline(results: RunResults, verb: str = "test") -> str:
    """The result in one sentence: of the latest test, else of validation; "" if there is none.

    "64 of 66 validation images classified correctly (95 % interval 89.6 to 99.2 %)."
    With ``verb`` "fit" that of validation.
    """
    tests = [e for e in results.evaluations if e["stage"] == verb == "test" and e.get("metrics")]
    stage = "test" if tests else "val"
    record = tests[-1] if tests else results.record
    metrics = tests[-1]["metrics"] if tests else results.at_best
    main = main_metrics(results.task, stage, metrics)
    names = [name for name in main if not name.endswith("loss")][:3]
    if not names:
        return ""
    count = (record.get("images") or {}).get(stage)
    kind = f"{'synthetic ' if record.get('sample') else ''}{SPLITS[stage]}"
    images = f"{kind} images" if count is None else f"{count:,} {kind} image{'s' * (count != 1)}"
    right = metrics.get(f"{stage}/accuracy", 0) * (count or 0)
    if results.task == "aoi" and count and abs(right - round(right)) < 0.01:
        low, high = (100 * limit for limit in wilson_interval(round(right), count))
        return (
            f"{round(right):,} of {images} classified correctly "
            f"(95\u00a0% interval {low:.1f} to {high:.1f}\u00a0%)."
        )
    pairs = []
    for name in names:  # the region is said once, at the end
        plain = name.replace("fov/", "").replace("full_image/", "")
        word, is_db, _ = in_words(plain, stage=False).partition(" (dB)")
        pairs.append(f"{word} {short(metrics[name])}{' dB' if is_db else ''}")
    region = {"fov": " in the field of view", "full_image": " in the whole photograph"}
    where = region.get(names[0].split("/")[1], "")
    sentence = f"{', '.join(pairs)}{where}, on {images}."
    return sentence[0].upper() + sentence[1:]


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    from scipy.stats import binomtest  # slow to import

    found = binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def short(value: float) -> str:
    """Four decimals, or four digits where that would show none."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"
