"""What the reference methods were reported to reach: shown beside our results, never among them."""

from typing import NamedTuple


class Reference(NamedTuple):
    """A result of a reference method, and what it was measured on."""

    value: float
    on: str


_AOI = "reference on AOI, epoch 6 of 10"
_VESSELS = "reference on DRIVE, “mIoU” of classes it does not name"
_RETINA = "reference on DRIVE's test images, epoch 18 of 20"
_BLOTS = "reference on its own blots, epoch 118, step 270"

# Task -> metric of ours that means the same -> result of the reference.
REFERENCE: dict[str, dict[str, Reference]] = {
    "aoi": {
        "val/accuracy": Reference(0.9644, _AOI),
        "train/loss": Reference(0.2635, _AOI),
    },
    "vessels": {
        f"{stage}/frame/{name}": Reference(0.3510, _VESSELS)
        for stage in ("val", "test")
        for name in ("iou_pooled", "mean_iou_pooled")
    },
    "retina": {
        "val/psnr": Reference(30.84, _RETINA),
        "val/loss": Reference(0.0037, _RETINA),
        "train/loss": Reference(0.0280, _RETINA),
        "test/psnr": Reference(30.84, _RETINA),
        "test/loss": Reference(0.0037, _RETINA),
    },
    "blots": {
        "train/d_loss": Reference(0.0683, _BLOTS),
        "train/g_loss": Reference(3.5220, _BLOTS),
    },
}

# Task -> metrics, without their stage, that a reader looks for first, the first of all in front:
# progress shows that one, reports show these and fold the others.
MAIN: dict[str, tuple[str, ...]] = {
    "aoi": ("accuracy", "f1_macro", "loss"),
    "vessels": (
        "fov/dice_pooled",
        "fov/iou_pooled",
        "fov/auroc_pooled",
        "frame/iou_pooled",
        "frame/mean_iou_pooled",
        "loss",
    ),
    "retina": ("psnr", "ssim", "loss", "bits_per_pixel"),
    "blots": ("psnr", "l1", "ssim", "kid_resnet18", "kid_random", "d_loss", "g_loss"),
}
