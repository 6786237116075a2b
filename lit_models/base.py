"""What the LightningModules of all tasks share: scores of each stage, optimizer and schedule."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torchmetrics import MetricCollection

from lit_models.optim.configure import configure_optimizer
from lit_models.optim.schedules import StepSchedule


class ImageModule(pl.LightningModule):
    """Base class: logs the scores of a stage as ``<stage>/<score>`` at the end of its epoch.

    A subclass sets the attributes, updates ``train_scores`` in its training step, and has
    `evaluate` for the other stages.

    Attributes:
        train_scores, val_scores, test_scores: metrics of the stages.
        optimizer: optimizer for the parameters that are not frozen.
        lr_scheduler: null leaves the learning rate as it is.
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
        trained = [p for p in self.parameters() if p.requires_grad]
        return configure_optimizer(self, trained, self.optimizer, self.lr_scheduler)
