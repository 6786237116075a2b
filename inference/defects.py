"""Defect classes of industrial images."""

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from common.ranges import ImageSide
from datamodules.aoi_files import find_images, label_numbers
from datamodules.preprocessing import Resize, normalize_defects, resize_square
from inference.model import Item, Model, Values
from inference.results import DefectResult
from lit_models.networks.torchvision_classifier import TorchvisionClassifier
from lit_models.postprocessing.defects import DefectPostprocessor, UnknownScore, review_threshold
from lit_models.postprocessing.ensemble import mean_of_classes

log = logging.getLogger(__name__)


class DefectModel(Model[DefectResult]):
    """Classes of images; see `load`.

    Results have a class activation map where the network's head sees the global average of its last
    feature map (ResNet, RegNet, EfficientNet, DenseNet, Swin ...), which is checked on the first
    batch. Others have none, and the log says so.

    Attributes:
        class_names: in the order of the labels.
        resize: how images become square, see `resize_square`.
        inference: see `DefectPostprocessor`.
        unknown: tells images unlike any in training; None where it was not fitted.
    """

    average = staticmethod(mean_of_classes)
    sample = "datamodules.synthetic.aoi"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.class_names = [str(name) for name in self.trained.model["class_names"]]
        self.size = int(ImageSide(self.trained.data["image_size"]))
        self.resize: Resize = self.trained.data.get("resize", "squash")
        self.mode = "RGB" if self.trained.data.get("channels") == "rgb" else "L"
        self.inference = DefectPostprocessor(**(self.trained.model.get("inference") or {}))
        self.explains: bool | None = None  # not known before the first batch
        state = self.trained.callbacks.get("UnknownDetection")
        self.unknown = UnknownScore(**state).to(self.device) if state else None
        kept, self.review_below = self.trained.callbacks.get("TemperatureScaling") or {}, None
        if "confidence" in kept:
            # Confidence above which at most 1 % of the validation images were wrong.
            self.review_below = min(
                review_threshold(kept["confidence"], kept["correct"], 0.01), 2.0
            )

    def preprocess(self, pixels: Tensor) -> Tensor:
        return resize_square(pixels, self.size, self.resize)

    def answers(self, images: Tensor) -> dict[str, Tensor]:
        images = normalize_defects(images)
        if self.explains is None:
            self.explains = self._can_explain(images[:1])
        return self.inference.answers(self.network, images, self.explains, self.unknown)

    def _can_explain(self, images: Tensor) -> bool:
        """Whether the activation maps' means are the logits, but for bias and precision."""
        network = self.network
        if isinstance(network, TorchvisionClassifier):
            logits, maps, _ = network.class_activation_maps(images)
            if maps is not None:
                found = maps.mean(dim=(2, 3)) + network.head.bias.float() - logits.float()
                if bool(found.abs().max() <= 0.02 * maps.abs().mean(dim=(2, 3)).max()):
                    return True
        name = getattr(network, "name", type(network).__name__)
        log.warning("%s does not end in global average pooling: results have no heatmap", name)
        return False

    @classmethod
    def result(cls, card: Values, item: Item, outputs: Values) -> DefectResult:
        names, p, maps = card["class_names"], outputs["probabilities"], outputs.get("activations")
        label, probabilities = int(p.argmax()), dict(zip(names, p.tolist(), strict=True))
        found = item["name"], names[label], probabilities, item["shown"][0]
        activation = None if maps is None else maps[label]
        unknown = float(outputs["unknown"]) if "unknown" in outputs else None
        return DefectResult(*found, activation, card["resize"], unknown, card["unknown_above"])

    def card(self) -> dict[str, Any]:
        columns = ["ID", "label", "confidence", *(["unknown"] if self.unknown else [])]
        tables = {"predictions": ["ID", "Label"], "probabilities": [*columns, *self.class_names]}
        if self.trained.callbacks.get("TemperatureScaling") or self.unknown:
            tables["review"] = [*columns, "reason"]
        return {
            "mode": self.mode,
            "class_names": self.class_names,
            "labels": label_numbers(self.class_names),
            "size": self.size,
            "resize": self.resize,
            "review_below": self.review_below,
            "unknown_above": self.unknown and self.unknown.threshold,
            "tables": tables,
        }

    def example_inputs(self, folder: Path) -> list[Any]:
        given = [self.trained.data.get(name) for name in ("table", "columns")]
        files = find_images(folder, "test", *given) or find_images(folder, "train", *given)
        assert files is not None
        return [files.folder / name for name in files.names]
