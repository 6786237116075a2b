"""What a classifier is given after training: its temperature, and what tells unknown images."""

import logging
import math
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jsonargparse.typing import OpenUnitInterval, PositiveFloat
from pytorch_lightning.callbacks import Callback
from scipy.optimize import minimize_scalar
from torch import Tensor

from callbacks.feature_cache import over_images
from callbacks.gather import on_rank_zero
from callbacks.run_recorder import run_folder
from experiment.checkpoint_io import AtomicCheckpointIO
from experiment.checkpoints import read_checkpoint
from lit_models.base import has_validation
from lit_models.postprocessing.defects import DefectPostprocessor, UnknownScore, nearest_distance

log = logging.getLogger(__name__)
RANGE = (0.05, 20.0)  # of temperatures


class AfterTraining(Callback):
    """Base class: fits something to the best and to the last checkpoint at the end of ``fit``.

    Training is left as it was: a resumed run continues as if nothing had been fitted.
    """

    def fit_to(
        self, trainer: pl.Trainer, pl_module: Any, inference: DefectPostprocessor
    ) -> tuple[DefectPostprocessor, dict[str, Any], str]:
        """Fit to a checkpoint.

        Args:
            trainer: in the state of validation; every process calls this.
            pl_module: in eval mode, with the checkpoint's weights.
            inference: the checkpoint's settings.

        Returns:
            Its new settings, the state of the callback in it, and a line for the log.
        """
        raise NotImplementedError

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not has_validation(pl_module):
            log.warning("%s: not fitted, there are no validation images", type(self).__name__)
            return
        folder = run_folder(trainer) / "checkpoints"
        best = Path(getattr(trainer.checkpoint_callback, "best_model_path", "")).name
        # The last one comes last: its weights are those that the module has.
        candidates = dict.fromkeys([folder / best, folder / "last.ckpt"])
        paths = on_rank_zero(trainer, lambda: [path for path in candidates if path.is_file()])
        pl_module.eval()
        trainer.validating = True  # else the datamodule takes its images for training ones
        step = None
        for path in paths:
            content = read_checkpoint(path).content
            settings = content["hyper_parameters"]
            if content["global_step"] != step:  # the last may be the best
                step = content["global_step"]
                pl_module.load_state_dict(content["state_dict"])
                inference = DefectPostprocessor(**(settings.get("inference") or {}))
                inference, state, summary = self.fit_to(trainer, pl_module, inference)
            log.info("%s: %s", path.name, summary)
            settings["inference"] = asdict(inference)
            content["callbacks"][self.state_key] = state
            on_rank_zero(trainer, partial(AtomicCheckpointIO().save_checkpoint, content, path))
        trainer.training = True
        pl_module.train()


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
    ) -> tuple[DefectPostprocessor, dict[str, Any], str]:
        _, logits, target = held_out(trainer, pl_module)
        inference = replace(inference, temperature=fit_temperature(logits, target))
        confidence, labels = inference.from_logits(logits).exp().max(dim=1)
        state = {"confidence": confidence, "correct": labels == target}
        return inference, state, f"temperature {inference.temperature:.2f} for {len(target)} images"


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

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if hasattr(pl_module.network, "features"):
            super().on_fit_end(trainer, pl_module)
        else:
            log.warning("UnknownDetection: not fitted, the network has no features")

    def fit_to(
        self, trainer: pl.Trainer, pl_module: Any, inference: DefectPostprocessor
    ) -> tuple[DefectPostprocessor, dict[str, Any], str]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        features, logits, _ = held_out(trainer, pl_module)
        known = data.features.get("train")
        if known is None:
            network = pl_module.network
            (known,) = over_images(
                trainer, data.train_set, lambda batch: (network.features(batch["image"]),)
            )
        room = max(1, int(self.megabytes * 1e6 / 2 / known.shape[1]))  # 2 bytes a number
        order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))
        known = F.normalize(known[order[:room].sort().values], dim=1).half()
        probabilities = inference.from_logits(logits).exp()
        state: dict[str, Any] = {
            "features": known,
            "doubts": 1 - probabilities.amax(dim=1),
            "distances": nearest_distance(known, features),
        }
        scores = UnknownScore(**state, threshold=1.0)(features, probabilities)
        threshold = float(scores.quantile(1 - self.false_alarms, interpolation="higher"))
        return inference, {**state, "threshold": threshold}, f"unknown above {threshold:.3f}"


def held_out(trainer: pl.Trainer, pl_module: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What a classifier gives for all validation images, with its views of prediction.

    Returns:
        Features ``(N, F)`` of the first view, F = 0 where the network has none; logits of each
        view ``(V, N, K)``; classes ``(N,)``.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    network, inference = pl_module.network, pl_module.inference
    if "val" in data.features and not inference.tta:  # views of features do not exist
        features = data.features["val"]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            logits = network.head(features.to(pl_module.device)).float()
        return features, logits[None].cpu(), data.val_set.targets

    def give(batch: Any) -> tuple[Tensor, ...]:
        features, logits = inference.features_and_logits(network, batch["image"])
        return features, logits.transpose(0, 1), batch["target"]

    features, logits, target = over_images(trainer, data.val_set, give)
    return features, logits.transpose(0, 1), target
