"""What a classifier is given after training: its temperature, and what tells unknown images."""

import logging
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jsonargparse.typing import OpenUnitInterval, PositiveFloat
from pytorch_lightning.callbacks import Callback
from scipy.optimize import minimize_scalar
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from callbacks.feature_cache import over_images
from callbacks.gather import on_rank_zero
from callbacks.run_recorder import run_folder
from experiment.checkpoint_io import AtomicCheckpointIO
from experiment.checkpoints import Checkpoint, read_checkpoint
from lit_models.postprocessing.defects import DefectPostprocessor
from lit_models.postprocessing.unknown import UnknownScore, nearest_distance

log = logging.getLogger(__name__)
RANGE = (0.05, 20.0)  # of temperatures


class AfterTraining(Callback):
    """Base class: fits something to the best and to the last checkpoint at the end of ``fit``.

    Training is left as it was: a resumed run continues as if nothing had been fitted.
    """

    def fit_to(self, trainer: pl.Trainer, pl_module: Any, checkpoint: Checkpoint) -> dict[str, Any]:
        """Fit, and change ``checkpoint.content``, which is then written on rank 0.

        Args:
            trainer: in the state of validation; every process calls this.
            pl_module: in eval mode, with the checkpoint's weights.
            checkpoint: what was read from the file.

        Returns:
            State of this callback in the checkpoint; empty leaves the file as it is.
        """
        raise NotImplementedError

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = run_folder(trainer) / "checkpoints"
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        candidates = dict.fromkeys([folder / "last.ckpt", folder / Path(best or "last.ckpt").name])
        paths = on_rank_zero(trainer, lambda: [path for path in candidates if path.is_file()])
        current = {name: value.clone() for name, value in pl_module.state_dict().items()}
        training = [module for module in pl_module.modules() if module.training]
        pl_module.eval()
        trainer.validating = True  # else the datamodule takes its images for training ones
        try:
            for path in paths:
                self._fit_to_file(trainer, pl_module, path)
        finally:
            trainer.training = True
            pl_module.load_state_dict(current)
            for module in training:
                module.training = True

    def _fit_to_file(self, trainer: pl.Trainer, pl_module: Any, path: Path) -> None:
        checkpoint = read_checkpoint(path)
        pl_module.load_state_dict(checkpoint.weights)
        if state := self.fit_to(trainer, pl_module, checkpoint):
            content = checkpoint.content
            content["callbacks"][self.state_key] = state
            on_rank_zero(trainer, lambda: AtomicCheckpointIO().save_checkpoint(content, path))


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


class UnknownDetection(AfterTraining):
    """Fits `UnknownScore` after training; ``predict``, `inference.load` and exports then have it.

    Give it behind `TemperatureScaling`, whose temperature the confidence depends on. Networks need
    ``features(images)`` and ``head``.

    Args:
        false_alarms: share of the validation images that are called unknown.
        megabytes: of training features in the checkpoint; more images than that are drawn from.
    """

    def __init__(
        self, false_alarms: OpenUnitInterval = 0.05, megabytes: PositiveFloat = 2.0
    ) -> None:
        self.false_alarms, self.megabytes = false_alarms, megabytes

    def fit_to(self, trainer: pl.Trainer, pl_module: Any, checkpoint: Checkpoint) -> dict[str, Any]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        network = pl_module.network
        features, logits, _ = held_out(trainer, pl_module)
        if not features.numel():
            log.warning("unknown: not fitted, there are no validation images or no features")
            return {}
        settings = checkpoint.content["hyper_parameters"].get("inference") or {}
        probabilities = DefectPostprocessor(**settings).from_logits(logits).exp()
        if "train" in data.features:
            known = data.features["train"]
        else:
            (known,) = over_images(
                trainer, data.train_set, lambda batch: (network.features(batch["image"]),)
            )
        room = max(1, int(self.megabytes * 1e6 / 2 / known.shape[1]))  # 2 bytes a number
        drawn = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))[:room]
        known = F.normalize(known[drawn.sort().values], dim=1).half()
        state = {
            "features": known,
            "doubts": 1 - probabilities.amax(dim=1),
            "distances": nearest_distance(known, features),
        }
        scores = UnknownScore(**state, threshold=1.0)(features, probabilities)
        threshold = float(scores.quantile(1 - self.false_alarms, interpolation="higher"))
        log.info(
            "%s: images are unknown above %.3f, as %d of %d validation images are",
            checkpoint.path.name,
            threshold,
            int((scores > threshold).sum()),
            len(scores),
        )
        return {**state, "threshold": threshold}


def held_out(trainer: pl.Trainer, pl_module: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What a classifier gives for all validation images, with its views of prediction.

    Returns:
        Features ``(N, F)`` of the first view, F = 0 where the network has none; logits of each
        view ``(V, N, K)``; classes ``(N,)``. Empty without validation images.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    network, inference = pl_module.network, pl_module.inference
    batches = trainer.num_val_batches[0] if trainer.num_val_batches else 0
    if not batches:
        return torch.empty(0, 0), torch.empty(1, 0, 1), torch.empty(0, dtype=torch.long)
    if "val" in data.features and not inference.tta:  # views of features do not exist
        features = data.features["val"]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            logits = network.head(features.to(pl_module.device)).float()
        return features, logits[None].cpu(), data.val_set.targets

    def give(batch: Any) -> tuple[Tensor, ...]:
        features, logits = inference.features_and_logits(network, batch["image"])
        return features, logits.transpose(0, 1), batch["target"]

    limit = int(min(batches, len(data.val_set)))
    features, logits, target = over_images(trainer, data.val_set, give, limit)
    return features, logits.transpose(0, 1), target
