"""Vessel segmentation of fundus photographs.

Reference method: a five-level U-Net on gray images, Focal Tversky loss, Adam at 1e-3.
"""

from typing import Any, ClassVar, cast

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lit_models.base import ImageModule
from lit_models.metrics.image_scores import by_image, image_means
from lit_models.metrics.vessel_scores import VesselScores
from lit_models.optim.schedules import StepSchedule
from lit_models.postprocessing.vessels import VesselPostprocessor, native_maps


class VesselSegmenter(ImageModule):
    """Vessel probabilities from fundus photographs of any size.

    Validation and test score at the native size: the probabilities are resized back first. Scores
    of ``<stage>/fov/`` are of the pixels inside the field of view and exist where its masks do,
    ``<stage>/full_image/`` of all pixels; ``_pooled`` is over the pixels of all images,
    ``_image_mean`` the mean of the images' own scores. AUROC is binned, see `BinnedAUROC`.

    Batches are dicts with ``image`` ``(N, C, H, W)``, ``target`` and ``fov`` ``(N, 1, H, W)``; in
    evaluation also ``input_size`` and ``native_size`` ``(N, 2)`` and, as lists of bool
    ``(1, H, W)``, ``native_target`` and ``native_fov`` (None where there is no mask).

    Args:
        network: logits ``(N, 1, H, W)`` of images ``(N, C, H, W)``.
        loss: of logits and targets of one shape: ``(N, 1, H, W)``, or ``(P,)`` with ``fov_only``.
        optimizer: optimizer for all parameters.
        lr_scheduler: null leaves the learning rate as it is; a plateau is one of ``val/loss``.
        inference: what may also be set after training.
        fov_only: leave pixels outside the field of view out of the loss, and call none of them
            vessel; the field of view is estimated where an image has no mask of it.
    """

    needs: ClassVar[tuple[str, ...]] = ("image", "fov", "input_size", "native_size")  # of a batch

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: OptimizerCallable,
        lr_scheduler: StepSchedule | LRSchedulerCallable | None = None,
        inference: VesselPostprocessor = VesselPostprocessor(),
        fov_only: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)  # of whole networks
        self.network, self.loss = network, loss
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.inference, self.fov_only = inference, fov_only
        self.train_scores = image_means("loss")
        self.val_scores = VesselScores(inference.threshold, True)
        self.test_scores = VesselScores(inference.threshold)

    def forward(self, images: Tensor) -> Tensor:
        """Vessel logits ``(N, 1, H, W)``."""
        return self.network(images)

    def _loss(self, logits: Tensor, batch: dict[str, Any]) -> Tensor:
        target = batch["target"].float()
        if self.fov_only:
            logits, target = logits[batch["fov"]], target[batch["fov"]]
        # A crop may hold nothing of the field of view: it teaches nothing, and is not NaN either.
        loss = self.loss(logits.float(), target) if target.numel() else logits.float().sum()
        return cast(Tensor, loss)

    def training_step(self, batch: dict[str, Any]) -> Tensor:
        loss = self._loss(self(batch["image"]), batch)
        self.train_scores["loss"].update(loss.detach(), len(batch["image"]))
        return loss

    def predict_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Vessel maps at the files' sizes.

        Returns:
            ``name``; ``index``; ``sharpness``; ``fov``, bool; ``probability`` and, with test-time
            augmentation, ``uncertainty``, float32 (see `VesselPostprocessor.predict`): lists of
            ``(H, W)``.
        """
        found = self.inference.predict_native(self.network, batch, self.fov_only)
        fov = [inside > 0.5 for inside in native_maps(batch["fov"].float(), batch)]
        sharpness = batch.get("sharpness") or [None] * len(fov)
        same = {"name": batch["name"], "index": batch["index"], "sharpness": sharpness}
        return {**same, "fov": fov, **found}

    def evaluate(self, batch: dict[str, Any], scores: VesselScores) -> dict[str, Any]:
        inputs = batch["image"], batch["fov"], self.fov_only
        probability = self.inference.predict(self.network, *inputs)["probability"]
        scores["loss"].update(self._loss(probability.logit(1e-6), batch), len(probability))
        natives = native_maps(probability, batch)
        truth = batch["native_target"], batch["native_fov"]
        per_image = by_image([scores.update(*one) for one in zip(natives, *truth, strict=True)])
        return {"probability": natives, "scores": per_image}
