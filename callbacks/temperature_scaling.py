"""Temperature scaling: calibrated class probabilities."""

import logging
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from callbacks.figures.calibration import Judged, draw_calibration
from callbacks.figures.held_out import warn_on_error
from callbacks.gather import gather, gather_in_order, on_rank_zero
from callbacks.run_recorder import run_folder
from experiment.checkpoint_io import AtomicCheckpointIO
from experiment.checkpoints import Checkpoint, read_checkpoint
from inference.calibration import fit_temperature
from lit_models.postprocessing.defects import DefectPostprocessor

log = logging.getLogger(__name__)


class TemperatureScaling(Callback):
    """Fits the temperature of a classifier on the validation images after training.

    It becomes ``inference.temperature`` in the best and the last checkpoint, which is what
    ``validate``, ``test``, ``predict`` and ``inference.load`` take unless they are given another.
    Each checkpoint has its own, from one more pass over the validation images with the inference
    settings of prediction, such as test-time augmentation. The checkpoint also keeps confidence
    and correctness on these images, see `held_out_confidence`.

    ``fit`` and ``test`` draw `draw_calibration`. After ``fit`` it shows the images on which the
    temperature was fitted, which flatters by the little that one number can learn from them.
    """

    def __init__(self) -> None:
        self._tested: list[Judged] = []

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
            for path in paths:  # the best comes last, and is what is drawn
                checkpoint = read_checkpoint(path)
                pl_module.load_state_dict(checkpoint.weights)
                judged = self._calibrate(trainer, pl_module, checkpoint)
        finally:
            trainer.training = True
            pl_module.load_state_dict(current)
            for module in training:
                module.training = True
        if paths and judged and trainer.is_global_zero:
            with warn_on_error("calibration"):
                note = "The temperature was fitted on these images."
                draw_calibration(trainer, "calibration", "validation", judged, note)

    def _calibrate(
        self, trainer: pl.Trainer, pl_module: Any, checkpoint: Checkpoint
    ) -> dict[str, Judged] | None:
        """Fit the temperature of the checkpoint, whose weights are loaded, and write it there."""
        inference: DefectPostprocessor = pl_module.inference
        logits, target = self._validation_logits(trainer, pl_module)
        if not len(target):
            log.warning("temperature: not fitted, there are no validation images")
            return None
        bare = DefectPostprocessor(inference.tta, temperature=1.0)
        temperature = fit_temperature(logits, target, inference.tta)
        fitted = DefectPostprocessor(inference.tta, temperature)
        judged = {
            name: Judged(settings.from_logits(logits).exp(), target)
            for name, settings in (("before", bare), (f"temperature {temperature:.2f}", fitted))
        }
        before, after = judged.values()

        def write() -> None:
            parameters = checkpoint.content["hyper_parameters"]
            inference = parameters.get("inference") or {}
            parameters["inference"] = {**dict(inference), "temperature": temperature}
            checkpoint.content["callbacks"][self.state_key] = {
                "confidence": after.confidence.clone(),
                "correct": after.correct.clone(),
                "calibration_error": {
                    "before": before.calibration_error,
                    "after": after.calibration_error,
                },
            }
            AtomicCheckpointIO().save_checkpoint(checkpoint.content, checkpoint.path)
            log.info(
                "%s: temperature %.2f, expected calibration error %.3f -> %.3f on %d validation "
                "images",
                checkpoint.path.name,
                temperature,
                before.calibration_error,
                after.calibration_error,
                len(target),
            )

        on_rank_zero(trainer, write)
        return judged

    @torch.no_grad()
    def _validation_logits(self, trainer: pl.Trainer, pl_module: Any) -> tuple[Tensor, Tensor]:
        """Logits of each view ``(V, N, K)`` and classes of all processes' validation images."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        loader: Any = trainer.val_dataloaders
        cached = bool(getattr(data, "features", None))
        if cached and pl_module.inference.tta:  # views of features do not exist
            loader, cached = data.eval_loader(data.val_set), False
        limit = trainer.num_val_batches[0] if trainer.num_val_batches else 0
        found = []
        batches = islice(loader, None if limit == float("inf") else int(limit)) if limit else ()
        for batch in batches:
            batch = trainer.strategy.batch_to_device(batch, pl_module.device, 0)
            with trainer.precision_plugin.forward_context():
                if cached:
                    logits = pl_module.network.head(batch["features"]).float()[None]
                else:
                    logits = pl_module.inference.logits(pl_module, batch["image"])
            found.append((logits.float().transpose(0, 1), batch["target"], batch["index"]))
        if not gather(trainer, found):
            return torch.empty(1, 0, 1), torch.empty(0, dtype=torch.long)
        logits, target, _ = gather_in_order(trainer, found, index=2)
        return logits.transpose(0, 1), target

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._tested = []

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        probabilities = outputs["probabilities"].float().cpu()
        self._tested.append(Judged(probabilities, outputs["target"].cpu()))

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        parts = gather(trainer, self._tested)
        if parts and trainer.is_global_zero:
            judged = Judged(*(torch.cat(column) for column in zip(*parts, strict=True)))
            temperature = pl_module.inference.temperature or 1.0  # type: ignore[union-attr]
            with warn_on_error("calibration"):
                by_name = {f"temperature {temperature:.2f}": judged}
                draw_calibration(trainer, "test_calibration", "test", by_name)


def held_out_confidence(path: str | Path) -> tuple[Tensor, Tensor] | None:
    """Confidence of a checkpoint's model on its validation images, and whether it was right.

    Returns:
        Confidence float32 ``(N,)`` and bool ``(N,)``; None where the checkpoint has none.
    """
    kept = read_checkpoint(path).callbacks.get(TemperatureScaling.__qualname__)
    return None if not kept else (kept["confidence"], kept["correct"])
