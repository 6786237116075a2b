"""Defect classification: an ImageNet network with a new head.

Reference method: ResNet-18, all of it frozen but the head 512 -> 6, cross-entropy, Adam at 1e-3.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch.nn.functional as F
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import ClasswiseWrapper, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from lit_models.base import ImageModule
from lit_models.metrics.image_scores import ImageMean
from lit_models.optim.schedules import StepSchedule
from lit_models.postprocessing.defects import DefectPostprocessor, UnknownScore
from lit_models.postprocessing.ensemble import Ensemble

CLASS_NAMES = ("normal", "void", "horizontal", "vertical", "edge", "particle")


class DefectClassifier(ImageModule):
    """Classes of images.

    Batches are dicts with ``image``, as the network takes it, or ``features`` of a frozen backbone,
    see ``callbacks.FeatureCache``; ``target`` int64 ``(N,)``; ``name`` and ``index`` in predict.

    Args:
        network: makes a network with logits for a number of classes, such as
            `TorchvisionClassifier`.
        loss: of logits ``(N, K)`` and targets ``(N,)`` in training. Evaluation scores plain
            cross-entropy, so that recipes can be compared.
        optimizer: optimizer for the parameters that are not frozen.
        lr_scheduler: null leaves the learning rate as it is.
        inference: what may also be set after training.
        class_names: in the order of the labels 0, 1, ...
    """

    needs: ClassVar[tuple[str, ...]] = ("image", "index")  # of a batch

    def __init__(
        self,
        network: Callable[[int], nn.Module],
        loss: nn.Module,
        optimizer: OptimizerCallable,
        lr_scheduler: StepSchedule | LRSchedulerCallable | None = None,
        inference: DefectPostprocessor = DefectPostprocessor(),
        class_names: Sequence[str] = CLASS_NAMES,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)  # of whole networks
        self.network, self.loss = network(len(class_names)), loss
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.inference = inference
        self.unknown: UnknownScore | None = None  # see callbacks.UnknownDetection
        scores = (classification_scores(class_names) for _ in range(3))
        self.train_scores, self.val_scores, self.test_scores = scores

    def setup(self, stage: str) -> None:
        # Not in __init__: a checkpoint holds all weights, and is read where there is no internet.
        network: Any = self.network
        if hasattr(network, "load_pretrained") and self.trainer.ckpt_path is None:
            network.load_pretrained()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what tells unknown images, if it is for these views and this temperature."""
        state = checkpoint.get("callbacks", {}).get("UnknownDetection")
        settings = checkpoint.get("hyper_parameters", {}).get("inference") or {}
        fits = DefectPostprocessor(**settings) == self.inference
        single = not isinstance(self.network, Ensemble)
        self.unknown = UnknownScore(**state) if state and fits and single else None

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K)``."""
        return self.network(images)

    def _logits(self, batch: dict[str, Any]) -> Tensor:
        if "features" in batch:
            return cast(nn.Module, self.network.head)(batch["features"]).float()
        return self(batch["image"]).float()

    def training_step(self, batch: dict[str, Any]) -> Tensor:
        logits, target = self._logits(batch), batch["target"]
        loss: Tensor = self.loss(logits, target)
        self.train_scores.update(preds=logits, target=target, value=loss, count=len(target))
        return loss

    def evaluate(self, batch: dict[str, Any], scores: MetricCollection) -> dict[str, Any]:
        target = batch["target"]
        if self.trainer.state.fn == "fit":  # views would cost more than they tell
            log_probs = self._logits(batch).log_softmax(dim=1)
        else:
            _, logits = self.inference.features_and_logits(self.network, batch["image"])
            log_probs = self.inference.from_logits(logits)
        loss = F.nll_loss(log_probs, target)
        scores.update(preds=log_probs, target=target, value=loss, count=len(target))
        probabilities = log_probs.exp()
        right = (log_probs.argmax(dim=1) == target).float()
        losses = F.nll_loss(log_probs, target, reduction="none")
        own = {"accuracy": right, "loss": losses, "label": target}
        for name, p in zip(self.hparams["class_names"], probabilities.T, strict=True):
            own[f"p({name})"] = p  # for experiment.suspects
        outputs = {"target": target, "index": batch["index"], "scores": own}
        return {"probabilities": probabilities, **outputs}

    def predict_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """``name``, ``index``, and `DefectPostprocessor.answers`."""
        answers = self.inference.answers(self.network, batch["image"], unknown=self.unknown)
        return {"name": batch["name"], "index": batch["index"], **answers}


def classification_scores(class_names: Sequence[str]) -> MetricCollection:
    """Mean loss, accuracy, macro F1, and each class's accuracy (its recall; 0 without images).

    Update it by name: ``preds``, logits ``(N, K)``, with ``target`` ``(N,)``; ``value``, their mean
    loss, with ``count``, N.

    Args:
        class_names: in the order of the labels 0, 1, ...
    """
    classes = len(class_names)
    by_class = MulticlassAccuracy(classes, average=None)
    return MetricCollection(
        {
            "loss": ImageMean(),
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "f1_macro": MulticlassF1Score(classes, average="macro"),
            "by_class": ClasswiseWrapper(by_class, list(class_names), prefix="accuracy_"),
        }
    )
