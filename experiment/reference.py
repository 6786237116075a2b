"""Reported results of the reference methods, shown beside ours."""

from typing import Literal, NamedTuple


class ReferenceResult(NamedTuple):
    """A result of a reference method, and what it was measured on."""

    value: float
    on: str


_AOI = "reference on AOI, epoch 6 of 10"
_VESSELS = "reference on DRIVE, “mIoU” of classes it does not name"
_RETINA = "reference on DRIVE's test images, epoch 18 of 20"
_BLOTS = "reference on its own blots, epoch 118, step 270"

# Task -> metric of ours that means the same -> result of the reference.
REFERENCE_RESULTS: dict[str, dict[str, ReferenceResult]] = {
    "aoi": {
        "val/accuracy": ReferenceResult(0.9644, _AOI),
        "train/loss": ReferenceResult(0.2635, _AOI),
    },
    "vessels": {
        f"{stage}/full_image/{name}": ReferenceResult(0.3510, _VESSELS)
        for stage in ("val", "test")
        for name in ("iou_pooled", "mean_iou_pooled")
    },
    "retina": {
        "val/psnr": ReferenceResult(30.84, _RETINA),
        "val/loss": ReferenceResult(0.0037, _RETINA),
        "train/loss": ReferenceResult(0.0280, _RETINA),
        "test/psnr": ReferenceResult(30.84, _RETINA),
        "test/loss": ReferenceResult(0.0037, _RETINA),
    },
    "blots": {
        "train/d_loss": ReferenceResult(0.0683, _BLOTS),
        "train/g_loss": ReferenceResult(3.5220, _BLOTS),
    },
}

# Task -> metrics, without their stage, that a reader looks for first, the first of all in front:
# progress shows that one, reports show these and fold the others.
MAIN_METRICS: dict[str, tuple[str, ...]] = {
    "aoi": ("accuracy", "f1_macro", "loss"),
    "vessels": (
        "fov/dice_pooled",
        "fov/iou_pooled",
        "fov/auroc_pooled",
        "full_image/iou_pooled",
        "full_image/mean_iou_pooled",
        "loss",
    ),
    "retina": ("psnr", "ssim", "loss"),
    "blots": ("psnr", "l1", "ssim", "kid_resnet18", "kid_random", "d_loss", "g_loss"),
}

# Metrics, without their stage, of which less is better; of all others more is.
LESS_IS_BETTER = ("loss", "objective", "l1", "kid_resnet18", "kid_random")


def better(metric: str) -> Literal["min", "max"]:
    """Whether a smaller or a larger value of ``metric``, such as "val/loss", is better."""
    return "min" if metric.rpartition("/")[2] in LESS_IS_BETTER else "max"
