"""Defect classification: an ImageNet ResNet-18 with a new head.

Reference method: all of the network frozen but ``fc`` 512 -> 6, cross-entropy, Adam at 1e-3.
"""

import logging
import socket
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
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
        optimizer: "adam", or "adamw_one_cycle": AdamW over one cycle as long as the training, up
            for a fifth of the steps, then down to 0 by a cosine.
        lr: learning rate, of the one cycle its peak.
        weight_decay: of AdamW.
        label_smoothing: part of each label in training that is spread over all classes.
        class_balance: a class of n training images weighs ``n ** -class_balance`` in the training
            loss: 0 counts images alike, 1 counts classes alike.
        mirror_views: in ``validate``, ``test`` and ``predict``, average the probabilities over the
            image and its three mirror images; in ``fit`` it would cost more than it tells.
        stem_stride: of the first convolution. ImageNet's is 2; 4 costs a quarter.

    Raises:
        DataError: from ``setup``, if the weights cannot be had. On the built-in sample a warning
            takes its place: all of the network is trained from random weights, over one cycle and
            with stem_stride 4.
    """

    def __init__(
        self,
        num_classes: int = 6,
        weights: str | None = "IMAGENET1K_V1",
        freeze: bool = True,
        optimizer: Literal["adam", "adamw_one_cycle"] = "adam",
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        class_balance: float = 0.0,
        mirror_views: bool = False,
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        # mirror_views is the config's and not the checkpoint's: it can be chosen after training.
        self.save_hyperparameters(ignore=["mirror_views"])
        self.mirror_views = mirror_views
        self.weights_used = weights or "random"
        self.backbone = resnet18()
        self.backbone.conv1.stride = (stem_stride, stem_stride)
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
                self._train_from_scratch()
        if stage == "fit":
            counts = torch.tensor(self.trainer.datamodule.train_set.labels).bincount()  # type: ignore[attr-defined]
            weights = counts.float().clamp_min(1) ** -self.hparams["class_balance"]
            self.class_weights = weights * counts.sum() / (weights * counts).sum()

    def _train_from_scratch(self) -> None:
        # Nothing is gained by freezing random features: a linear head on them is hardly better
        # than chance. The coarser stem keeps the first run to minutes.
        self.fallback = {
            "weights": "random",
            "freeze": False,
            "optimizer": "adamw_one_cycle",
            "stem_stride": 4,
        }
        log.warning("all of the network is trained instead: %s", self.fallback)
        self.hparams.update(self.fallback)
        self.weights_used = "random"
        self.backbone.conv1.stride = (4, 4)
        self.backbone.requires_grad_(True).train()

    def forward(self, x: Tensor) -> Tensor:
        """Logits for images, or for backbone features ``(N, 512)`` as ``FeatureCache`` gives."""
        features = x if x.ndim == 2 else self.backbone(x)
        return self.fc(features)

    def _step(self, batch: tuple[Tensor, Tensor, Tensor], stage: str) -> tuple[Tensor, Tensor]:
        """Loss, and class probabilities ``(N, num_classes)`` for the figures."""
        x, labels, _ = batch
        if stage == "train":
            logits = self(x).float()
            weights = self.class_weights.to(logits.device)
            smoothing = self.hparams["label_smoothing"]
            loss = F.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
        else:
            logits = self._scores(x)
            loss = F.cross_entropy(logits, labels)
        metrics = getattr(self, f"{stage}_metrics")
        metrics.update(logits, labels)
        getattr(self, f"{stage}_confusion").update(logits, labels)
        self.log(
            f"{stage}/loss", loss, on_step=False, on_epoch=True, batch_size=len(x), sync_dist=True
        )
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(x))
        return loss, logits.detach().softmax(dim=1)

    def _scores(self, x: Tensor) -> Tensor:
        """Logits, or the logarithm of the mean probabilities over the mirrored views."""
        if not self.mirror_views or self.trainer.state.fn == "fit":
            return self(x).float()
        views = (x, x.flip(3), x.flip(2), x.flip(2, 3))
        return torch.stack([self(view).float().softmax(dim=1) for view in views]).mean(dim=0).log()

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return self._step(batch, "train")[0]

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return self._step(batch, "val")[1]

    def test_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return self._step(batch, "test")[1]

    def predict_step(self, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Positions ``(N,)`` in the data set and class probabilities ``(N, num_classes)``."""
        images, _, indices = batch
        return indices, self._scores(images).softmax(dim=1)

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
            self.log(f"{stage}/accuracy_{name}", accuracy, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [p for p in self.parameters() if p.requires_grad]
        lr = self.hparams["lr"]
        if self.hparams["optimizer"] == "adam":
            return torch.optim.Adam(trained, lr=lr)
        optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=self.hparams["weight_decay"])
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps, pct_start=0.2)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
