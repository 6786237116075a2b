"""What metrics are called in words, and which of them a reader looks for first."""

from collections.abc import Iterable

from experiment.tasks import task_of

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
    "kid_resnet18": "KID (ResNet-18)",
    "d_loss": "loss of D",
    "g_loss": "loss of G",
}


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
