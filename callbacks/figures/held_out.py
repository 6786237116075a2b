"""Base class of the figure callbacks."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_warn

from callbacks.gather import gather
from callbacks.run_recorder import run_folder
from experiment import plotting
from experiment.run_results import RunResults, read_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def warn_on_error(what: str) -> Iterator[None]:
    """An error inside becomes a warning: a picture is never worth a training run."""
    try:
        yield
    except Exception as error:
        cause = str(error).partition("\n")[0]
        rank_zero_warn(f"{what} not drawn: {type(error).__name__}: {cause}")


@contextmanager
def figure(
    trainer: pl.Trainer, name: str, size: tuple[float, float], title: str, caption: str = ""
) -> Iterator["Figure"]:
    """``figures/<name>.png`` of the run folder, to be drawn on; then logged to W&B. For rank 0.

    An error inside is a warning. Figures ``<series>/<part>`` are one series in W&B, and left out of
    the report.
    """
    path = run_folder(trainer) / "figures" / f"{name}.png"
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    with warn_on_error(f"figure {name}"):
        sample = data is not None and data.is_sample
        with plotting.figure(path, size, title, caption, sample) as fig:
            yield fig
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                key = f"figures/{name.partition('/')[0]}"
                logger.log_image(key, [str(path)], caption=[caption or title])


class HeldOutFigures(Callback):
    """Draws at the end of ``fit``, also of one that was stopped, and at the end of ``test``.

    While the held-out batches pass, ``keep`` takes from each what the pictures will need: nothing
    is computed twice, and nothing is drawn before training is over. What is drawn after ``fit`` is
    the epoch with the best monitored metric, as in the best checkpoint (of this process, if the run
    was resumed). Every process takes part in keeping; rank 0 draws.
    """

    def __init__(self) -> None:
        self._passing: list[Any] = []
        self._best: list[Any] = []
        self._best_score: float | None = None
        self._best_epoch = 0

    def keep(self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]) -> Any:
        """What to remember of a batch, on the CPU and of bounded size, or None.

        Args:
            outputs: what ``validation_step`` or ``test_step`` returned.
            kept: what was remembered of the earlier batches of this pass.
        """
        raise NotImplementedError

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        """Draw what ``metrics.csv`` says."""
        raise NotImplementedError

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        """Draw what was kept.

        Args:
            prefix: of the figures' names: "" after ``fit``, "test_" after ``test``.
            where: "validation, epoch 7" or "test", for titles.
        """
        raise NotImplementedError

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._passing = []

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._passing = []

    def on_validation_batch_end(  # type: ignore[override]
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._keep(trainer, outputs, batch)

    def on_test_batch_end(  # type: ignore[override]
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._keep(trainer, outputs, batch)

    def _keep(self, trainer: pl.Trainer, outputs: Any, batch: Any) -> None:
        with warn_on_error(f"{type(self).__name__}: figures"):
            part = self.keep(trainer, outputs, batch, self._passing)
            if part is not None:
                self._passing.append(part)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        checkpoint = trainer.checkpoint_callback
        score = trainer.callback_metrics.get(getattr(checkpoint, "monitor", None) or "")
        if score is not None:
            signed = float(score) * (1 if getattr(checkpoint, "mode", "max") == "max" else -1)
            if math.isnan(signed):
                signed = -math.inf  # as for the checkpoint: worse than any number
            if self._best_score is not None and signed <= self._best_score:
                return
            self._best_score = signed
        self._best, self._best_epoch = self._passing, trainer.current_epoch + 1

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._draw_fit(trainer, gather(trainer, self._best))

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        kept = gather(trainer, self._passing)
        if trainer.is_global_zero and kept:
            with warn_on_error("held-out images"):
                self.draw(trainer, kept, "test_", "test")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        # Without asking the other processes, which may not answer any more.
        if trainer.state.fn == "fit" and self._best:
            self._draw_fit(trainer, self._best)

    def _draw_fit(self, trainer: pl.Trainer, kept: list[Any]) -> None:
        if not trainer.is_global_zero:
            return
        with warn_on_error("curves"):
            for logger in trainer.loggers:
                logger.save()
            self.draw_curves(trainer, read_results(run_folder(trainer)))
        if kept:
            with warn_on_error("held-out images"):
                self.draw(trainer, kept, "", f"validation, epoch {self._best_epoch}")
