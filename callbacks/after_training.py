"""What a classifier is given after training: its temperature, and what tells unknown images."""

import logging
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

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
from lit_models.postprocessing.defects import DefectPostprocessor, UnknownScore, nearest_distance

log = logging.getLogger(__name__)
RANGE = (0.05, 20.0)  # of temperatures
RANKED = 10_000  # validation images that others are ranked among, at most


class Fitted(NamedTuple):
    """What was fitted: state of the callback, settings of prediction, and a line for the log."""

    state: dict[str, Any]
    inference: DefectPostprocessor
    summary: str


class AfterTraining(Callback):
    """Base class: fits something to the best and to the last checkpoint at the end of ``fit``.

    Training is left as it was: a resumed run continues as if nothing had been fitted.
    """

    def fit_to(
        self, trainer: pl.Trainer, pl_module: Any, inference: DefectPostprocessor
    ) -> Fitted | None:
        """Fit to a checkpoint; None leaves it as it is.

        Args:
            trainer: in the state of validation; every process calls this.
            pl_module: in eval mode, with the checkpoint's weights.
            inference: the checkpoint's settings.
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
        weights, fitted = dict[str, Tensor](), None
        try:
            for checkpoint in map(read_checkpoint, paths):
                if not _equal(weights, checkpoint.weights):  # the last may be the best
                    weights = checkpoint.weights
                    pl_module.load_state_dict(weights)
                    settings = checkpoint.model.get("inference") or {}
                    fitted = self.fit_to(trainer, pl_module, DefectPostprocessor(**settings))
                if fitted is not None:
                    self._write(trainer, checkpoint, fitted)
        finally:
            trainer.training = True
            pl_module.load_state_dict(current)
            for module in training:
                module.training = True

    def _write(self, trainer: pl.Trainer, checkpoint: Checkpoint, fitted: Fitted) -> None:
        content = checkpoint.content
        content["hyper_parameters"]["inference"] = asdict(fitted.inference)
        content["callbacks"][self.state_key] = fitted.state
        log.info("%s: %s", checkpoint.path.name, fitted.summary)
        save = AtomicCheckpointIO().save_checkpoint
        on_rank_zero(trainer, lambda: save(content, checkpoint.path))


def _equal(weights: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return weights.keys() == others.keys() and all(
        torch.equal(value, others[name]) for name, value in weights.items()
    )


class TemperatureScaling(AfterTraining):
    """Fits the temperature of a classifier on the validation images after training.

    It becomes ``inference.temperature`` in the best and the last checkpoint, which is what
    ``validate``, ``test``, ``predict`` and ``inference.load`` take unless they are given another.
    Each checkpoint has its own, from one more pass over the validation images with the inference
    settings of prediction, such as test-time augmentation. The checkpoint also keeps ``confidence``
    and ``correct`` of these images, by which `review_threshold` chooses what to look at again.
    """

    def fit_to(
        self, trainer: pl.Trainer, pl_module: Any, inference: DefectPostprocessor
    ) -> Fitted | None:
        _, logits, target = held_out(trainer, pl_module)
        if not len(target):
            log.warning("temperature: not fitted, there are no validation images")
            return None
        fitted = replace(inference, temperature=fit_temperature(logits, target))
        before, after = (
            settings.from_logits(logits).exp()
            for settings in (replace(inference, temperature=1.0), fitted)
        )
        errors = [
            float(multiclass_calibration_error(p, target, num_classes=p.shape[1]))
            for p in (before, after)
        ]
        confidence, labels = after.max(dim=1)
        return Fitted(
            {"confidence": confidence, "correct": labels == target},
            fitted,
            f"temperature {fitted.temperature:.2f}, expected calibration error {errors[0]:.3f} -> "
            f"{errors[1]:.3f} on {len(target)} validation images",
        )


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """The temperature of the least cross-entropy, by a search along its logarithm.

    Source: Guo et al., "On calibration of modern neural networks", 2017 (arXiv 1706.04599).

    Args:
        logits: of each view ``(V, N, K)``, see `DefectPostprocessor.features_and_logits`.
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

    def fit_to(
        self, trainer: pl.Trainer, pl_module: Any, inference: DefectPostprocessor
    ) -> Fitted | None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        network = pl_module.network
        features, logits, _ = held_out(trainer, pl_module)
        if not features.numel():
            log.warning("unknown: not fitted, there are no validation images or no features")
            return None
        known = data.features.get("train")
        if known is None:
            (known,) = over_images(
                trainer, data.train_set, lambda batch: (network.features(batch["image"]),)
            )
        room = max(1, int(self.megabytes * 1e6 / 2 / known.shape[1]))  # 2 bytes a number
        known = F.normalize(known[_draw(len(known), room)], dim=1).half()
        some = _draw(len(features), RANKED)
        features, probabilities = features[some], inference.from_logits(logits[:, some]).exp()
        state = {
            "features": known,
            "doubts": 1 - probabilities.amax(dim=1),
            "distances": nearest_distance(known, features),
        }
        scores = UnknownScore(**state, threshold=1.0)(features, probabilities)
        threshold = float(scores.quantile(1 - self.false_alarms, interpolation="higher"))
        found = int((scores > threshold).sum())
        summary = f"unknown above {threshold:.3f}, as {found} of {len(scores)} validation images"
        return Fitted({**state, "threshold": threshold}, inference, summary)


def _draw(count: int, most: int) -> Tensor:
    """Positions of at most so many samples, sorted."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[:most].sort().values


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
