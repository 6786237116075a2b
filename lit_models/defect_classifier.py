"""Defect classification: an ImageNet ResNet-18 with a new head.

Reference method: all of the network frozen but ``fc`` 512 -> 6, cross-entropy, Adam at 1e-3.
"""

import logging
import socket
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)
from torchvision.models import ResNet18_Weights, resnet18

from datamodules.errors import DataError

log = logging.getLogger(__name__)


def read_backbone(weights: str) -> dict[str, Tensor]:
    """State of a torchvision ResNet-18 without its ``fc``, from ``weights`` (``DefectClassifier``).

    Raises:
        DataError: the file is missing, is not a state dict or has other keys or shapes, or
            torchvision can neither find its weights in its cache nor download them.
    """
    if weights in ResNet18_Weights.__members__:
        source = ResNet18_Weights[weights]
        patience = socket.getdefaulttimeout()
        socket.setdefaulttimeout(20)  # urllib's default is to wait for ever
        try:
            state = source.get_state_dict(progress=True, check_hash=True)
        except (OSError, RuntimeError) as error:
            cache = Path(torch.hub.get_dir(), "checkpoints", Path(source.url).name)
            raise DataError(
                f"{cache}: not there and cannot be downloaded ({error}); get it from {source.url}, "
                "or give --model.weights a file, or random"
            ) from None
        finally:
            socket.setdefaulttimeout(patience)
    else:
        path = Path(weights)
        if not path.is_file():
            names = ", ".join(ResNet18_Weights.__members__)
            raise DataError(f"{path}: no such weights file, nor one of {names}, random")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever torch meets in a file that is not its own
            reason = str(error).partition("\n")[0]
            raise DataError(f"{path}: not a state dict saved by torch ({reason})") from None
    own = resnet18().state_dict()
    if not isinstance(state, dict) or set(own) != set(state):
        odd = sorted(set(own) ^ set(state)) if isinstance(state, dict) else ["no keys"]
        raise DataError(
            f"{weights}: not a ResNet-18 of torchvision; differs in {', '.join(odd[:3])}"
        )
    for name, value in own.items():
        if value.shape != state[name].shape:
            shapes = f"{tuple(state[name].shape)}, not {tuple(value.shape)}"
            raise DataError(f"{weights}: {name} has the shape {shapes}")
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


class DefectClassifier(pl.LightningModule):
    """ResNet-18 over images ``(N, 3, H, W)``, ImageNet-normalised; logits ``(N, num_classes)``.

    Args:
        num_classes: outputs of the new ``fc``.
        weights: a name of torchvision's ``ResNet18_Weights``, the file of a state dict in
            torchvision's format, or "random" (also null). Not read when a checkpoint is given,
            which holds all weights.
        freeze: train ``fc`` alone; the backbone then stays in eval mode, so that its BatchNorm
            statistics do not move either.
        lr: learning rate of Adam.

    Raises:
        DataError: from ``setup``, if the weights cannot be had; on the built-in sample random
            weights take their place, with a warning.
    """

    def __init__(
        self,
        num_classes: int = 6,
        weights: str | None = "IMAGENET1K_V1",
        freeze: bool = True,
        lr: float = 1e-3,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.weights_used = weights or "random"
        self.backbone = resnet18()
        self.fc = nn.Linear(self.backbone.fc.in_features, num_classes)
        self.backbone.fc = nn.Identity()
        metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "f1_macro": MulticlassF1Score(num_classes, average="macro"),
            }
        )
        self.train_metrics, self.val_metrics, self.test_metrics = (
            metrics.clone(f"{stage}/") for stage in ("train", "val", "test")
        )
        self.train_confusion, self.val_confusion, self.test_confusion = (
            MulticlassConfusionMatrix(num_classes) for _ in range(3)
        )
        if freeze:
            # In __init__, because Lightning's fit() restores modes and never calls train().
            self.backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "DefectClassifier":
        super().train(mode)
        if self.hparams["freeze"]:
            self.backbone.eval()
        return self

    def setup(self, stage: str) -> None:
        if self.trainer.ckpt_path is None and self.weights_used != "random":
            try:
                self.backbone.load_state_dict(read_backbone(self.weights_used))
            except DataError as error:
                if not self.trainer.datamodule.is_sample:  # type: ignore[attr-defined]
                    raise
                log.warning("RANDOM WEIGHTS in place of ImageNet's: %s", error)
                self.weights_used = "random"

    def forward(self, x: Tensor) -> Tensor:
        """Logits for images, or for backbone features ``(N, 512)`` as ``FeatureCache`` gives."""
        features = x if x.ndim == 2 else self.backbone(x)
        return self.fc(features)

    def _step(self, batch: tuple[Tensor, Tensor, Tensor], stage: str) -> tuple[Tensor, Tensor]:
        """Loss, and class probabilities ``(N, num_classes)`` for the figures."""
        x, labels, _ = batch
        logits = self(x).float()
        loss = F.cross_entropy(logits, labels)
        metrics = getattr(self, f"{stage}_metrics")
        metrics.update(logits, labels)
        getattr(self, f"{stage}_confusion").update(logits, labels)
        self.log(
            f"{stage}/loss", loss, on_step=False, on_epoch=True, batch_size=len(x), sync_dist=True
        )
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(x))
        return loss, logits.detach().softmax(dim=1)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return self._step(batch, "train")[0]

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return self._step(batch, "val")[1]

    def test_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return self._step(batch, "test")[1]

    def predict_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Positions ``(N,)`` in the data set and class probabilities ``(N, num_classes)``."""
        images, _, indices = batch
        return indices, self(images).float().softmax(dim=1)

    def on_train_epoch_end(self) -> None:
        self._log_per_class("train")

    def on_validation_epoch_end(self) -> None:
        self._log_per_class("val")

    def on_test_epoch_end(self) -> None:
        self._log_per_class("test")

    def _log_per_class(self, stage: str) -> None:
        metric = getattr(self, f"{stage}_confusion")
        confusion = metric.compute()
        metric.reset()
        names = self.trainer.datamodule.class_names  # type: ignore[attr-defined]
        per_class = confusion.diag() / confusion.sum(dim=1).clamp_min(1)
        for name, accuracy in zip(names, per_class, strict=True):
            self.log(f"{stage}/accuracy_{name}", accuracy)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.Adam(trained, lr=self.hparams["lr"])
