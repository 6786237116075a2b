"""Temperature scaling: calibrated class probabilities."""

import logging
import math
from typing import Any

import pytorch_lightning as pl
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from callbacks.after_training import AfterTraining, held_out
from experiment.checkpoints import Checkpoint
from lit_models.postprocessing.defects import DefectPostprocessor

log = logging.getLogger(__name__)
RANGE = (0.05, 20.0)  # of temperatures


class TemperatureScaling(AfterTraining):
    """Fits the temperature of a classifier on the validation images after training.

    It becomes ``inference.temperature`` in the best and the last checkpoint, which is what
    ``validate``, ``test``, ``predict`` and ``inference.load`` take unless they are given another.
    Each checkpoint has its own, from one more pass over the validation images with the inference
    settings of prediction, such as test-time augmentation. The checkpoint also keeps ``confidence``
    and ``correct`` of these images, by which `review_threshold` chooses what to look at again.
    """

    def fit_to(self, trainer: pl.Trainer, pl_module: Any, checkpoint: Checkpoint) -> dict[str, Any]:
        inference: DefectPostprocessor = pl_module.inference
        _, logits, target = held_out(trainer, pl_module)
        if not len(target):
            log.warning("temperature: not fitted, there are no validation images")
            return {}
        temperature = fit_temperature(logits, target)
        parameters = checkpoint.content["hyper_parameters"]
        settings = dict(parameters.get("inference") or {})
        parameters["inference"] = {**settings, "temperature": temperature}
        before, after = (
            DefectPostprocessor(inference.tta, value).from_logits(logits).exp()
            for value in (1.0, temperature)
        )
        errors = [
            multiclass_calibration_error(p, target, num_classes=p.shape[1]) for p in (before, after)
        ]
        log.info(
            "%s: temperature %.2f, expected calibration error %.3f -> %.3f on %d validation images",
            checkpoint.path.name,
            temperature,
            *errors,
            len(target),
        )
        confidence, labels = after.max(dim=1)
        return {"confidence": confidence, "correct": labels == target}


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """The temperature of the least cross-entropy, by a search along its logarithm.

    Source: Guo et al., "On calibration of modern neural networks", 2017 (arXiv 1706.04599).

    Args:
        logits: of each view ``(V, N, K)``, as `DefectPostprocessor.logits` returns them.
        target: classes ``(N,)``.

    Returns:
        1 where no image is classified wrong: then nothing tells how sure is too sure.
    """

    def log_probabilities(temperature: float) -> Tensor:
        return DefectPostprocessor(temperature=temperature).from_logits(logits.double())

    def loss(log_temperature: float) -> float:
        return float(F.nll_loss(log_probabilities(math.exp(log_temperature)), target))

    if bool((log_probabilities(1.0).argmax(dim=1) == target).all()):
        return 1.0
    found = minimize_scalar(loss, bounds=[math.log(limit) for limit in RANGE], method="bounded")
    return float(math.exp(found.x))
