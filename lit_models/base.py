"""What the LightningModules of all tasks share: scores of each stage, optimizer and schedule."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MetricCollection

from common.errors import DataError
from lit_models.optim.schedules import StepSchedule, StepScheduler, total_steps


class ImageModule(pl.LightningModule):
    """Base class: logs the scores of a stage as ``<stage>/<score>`` at the end of its epoch.

    A subclass sets the attributes, updates ``train_scores`` in its training step, and has
    `evaluate` for the other stages.

    Attributes:
        train_scores, val_scores, test_scores: metrics of the stages.
        optimizer: optimizer for the parameters that are not frozen.
        lr_scheduler: null keeps the learning rate; `ReduceLROnPlateau` watches ``val/loss``.
    """

    train_scores: MetricCollection
    val_scores: MetricCollection
    test_scores: MetricCollection
    optimizer: OptimizerCallable
    lr_scheduler: StepSchedule | LRSchedulerCallable | None = None

    def evaluate(self, batch: dict[str, Any], scores: Any) -> dict[str, Any]:
        """Update the scores of ``val`` or ``test`` with a batch; returns what callbacks read."""
        raise NotImplementedError

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self.evaluate(batch, self.val_scores)

    def test_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        return self.evaluate(batch, self.test_scores)

    # At an epoch's end, where every process takes part, also one that had no batch.
    def on_train_epoch_end(self) -> None:
        self._log_scores("train", self.train_scores)

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val", self.val_scores)

    def on_test_epoch_end(self) -> None:
        self._log_scores("test", self.test_scores)

    def _log_scores(self, stage: str, scores: MetricCollection) -> None:
        self.log_dict({f"{stage}/{name}": value for name, value in scores.compute().items()})
        scores.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """A `StepSchedule` is stepped with each batch, other schedules with each epoch.

        Raises:
            DataError: a setting is out of its range; `ReduceLROnPlateau` without validation.
        """
        with wrap_optimizer_errors("model.optimizer"):
            optimizer = self.optimizer([p for p in self.parameters() if p.requires_grad])
        if isinstance(optimizer, Adam | SGD):
            for group in optimizer.param_groups:
                # One kernel for all weights. Not by an argument of the optimizer, with which
                # Lightning refuses to clip gradients, for the sake of float16's loss scaling.
                cuda = all(weight.is_cuda for weight in group["params"])
                group["fused"] = group["fused"] or cuda or None
        if self.lr_scheduler is None:
            return optimizer
        with wrap_optimizer_errors("model.lr_scheduler"):
            if isinstance(self.lr_scheduler, StepSchedule):
                steps = partial(total_steps, self.trainer)
                stepped = StepScheduler(optimizer, self.lr_scheduler, steps)
                return [optimizer], [{"scheduler": stepped, "interval": "step"}]  # type: ignore[return-value]
            scheduler = self.lr_scheduler(optimizer)
        if not isinstance(scheduler, ReduceLROnPlateau):
            return [optimizer], [scheduler]
        if not has_validation(self):
            raise DataError(
                "model.lr_scheduler: ReduceLROnPlateau waits for val/loss, and nothing is "
                "validated (data.fold all, or trainer.limit_val_batches 0); give another, such as "
                "lit_models.optim.CosineAnnealing"
            )
        # Steps when there is something new to step by.
        every = self.trainer.check_val_every_n_epoch or 1
        plateau = {"scheduler": scheduler, "monitor": "val/loss", "frequency": every}
        return [optimizer], [plateau]  # type: ignore[return-value]


@contextmanager
def wrap_optimizer_errors(option: str) -> Iterator[None]:
    """Raise DataError, with the option, where torch refuses a setting."""
    try:
        yield
    except (ValueError, TypeError, ZeroDivisionError, RuntimeError) as error:
        raise DataError(f"{option}: {error}") from None


def has_validation(module: pl.LightningModule) -> bool:
    """Whether any image is held out from this training, and looked at."""
    data = getattr(module.trainer, "datamodule", None)
    limit = getattr(module.trainer, "limit_val_batches", 1)
    return not getattr(data, "trains_on_all", False) and limit != 0
