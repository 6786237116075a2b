"""The tasks, each declared once: its texts, its metrics and their words, and its models."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Task:
    """A task; ``run.task`` of a config names it.

    A run of a task that is not declared trains and is reported, too. What it lacks is `load`,
    export, the page and ensembles, which need ``models``.

    Attributes:
        title: heading of reports.
        models: classes in `inference` by the name of the LightningModule that is trained.
        prompt: what the page asks for.
        intended_use: of the model card.
        protocol: of the model card: how metrics are computed.
        main_metrics: metrics, without their stage, that a reader looks for first. Progress shows
            the first of them, reports show these and fold the others.
    """

    title: str
    models: dict[str, str] = field(default_factory=dict)
    prompt: str = "Drop images."
    intended_use: str = ""
    protocol: str = ""
    main_metrics: tuple[str, ...] = ()


TASKS = {
    "aoi": Task(
        "AOI defect classification",
        {"DefectClassifier": "inference.defects.DefectModel"},
        "Drop images: the class of each, how sure, and where it shows.",
        "Sorting images into the classes it was trained on. Not for other products or cameras "
        "without a test on their images; every image, whatever it shows, gets one of the classes.",
        "share of images and mean over classes, each image once; accuracy, f1_macro and others "
        "in 0 to 1",
        ("accuracy", "f1_macro", "loss"),
    ),
    "vessels": Task(
        "Retinal vessel segmentation",
        {"VesselSegmenter": "inference.vessels.VesselModel"},
        "Drop photographs of retinas: their vessels, and how sure. Not a medical device.",
        "Marking blood vessels in color photographs of the retina, for research. Not a medical "
        "device: no diagnosis may rest on it.",
        "at the files' size; fov/ inside the field of view, full_image/ everywhere; pooled over "
        "all pixels of the images, at the threshold below; test-time augmentation as below",
        (
            "fov/dice_pooled",
            "fov/sensitivity_pooled",
            "fov/specificity_pooled",
            "fov/auroc_pooled",
            "full_image/dice_pooled",
            "full_image/sensitivity_pooled",
            "full_image/specificity_pooled",
            "full_image/auroc_pooled",
            "loss",
        ),
    ),
    "retina": Task(
        "Retinal image reconstruction",
        {"ImageReconstructor": "inference.retina.RetinaModel"},
        "Drop photographs of retinas: their copies and what is lost. Not a medical device.",
        "Copying color photographs of the retina, for research on their compression. Not a "
        "medical device: details that matter may be lost.",
        "of the network's input against its copy, in [0, 1]; PSNR in dB and SSIM (Gaussian of "
        "1.5 px) of each image, then their mean",
        ("psnr", "ssim", "loss"),
    ),
    "blots": Task(
        "Western-blot generation",
        {
            "BlotGAN": "inference.blots.BlotModel",
            "StyledBlotGAN": "inference.blots.StyledBlotModel",
        },
        "Drop or draw two templates: a synthetic Western blot. Never show it as a result.",
        "Drawing synthetic Western blots as training data. Never to be shown as the result of an "
        "experiment.",
        "generated blots against the true ones of held-out membranes, in [-1, 1]; mean over images",
        ("psnr", "l1", "ssim", "d_loss", "g_loss"),
    ),
}

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
# Metrics, without their stage, of which less is better; of all others more is.
LESS_IS_BETTER = ("loss", "objective", "l1")


def task_of(name: str) -> Task:
    """The task of this name; one of its title alone if it is not declared."""
    return TASKS.get(name) or Task(name or "Run")


def in_words(metric: str, stage: bool = True) -> str:
    """ "Validation Dice in the field of view" for "val/fov/dice_pooled".

    Args:
        metric: as it is logged.
        stage: begin with the stage.
    """
    first, *region, name = metric.removesuffix("_pooled").split("/")
    words = [WORDS.get(one, one.replace("_", " ")) for one in (first, name, *region)]
    return " ".join(words if stage else words[1:])


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
