"""Base class of the figure callbacks, and what several of them draw."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from matplotlib.figure import Figure
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from callbacks.gather import gather
from callbacks.run_recorder import run_folder
from experiment import plotting
from experiment.plotting import BLUE, VERMILION, mark_best, percent_axis, plot_by_epoch
from experiment.run_results import read_results
from experiment.tasks import in_words, main_metrics

Curves = dict[str, dict[int, float]]


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
) -> Iterator[Figure]:
    """``figures/<name>.png`` of the run folder, to be drawn on; then logged to W&B. For rank 0."""
    path = run_folder(trainer) / "figures" / f"{name}.png"
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    with plotting.figure(path, size, title, caption, data.is_sample) as fig:
        yield fig
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(f"figures/{name}", [str(path)])


def draw_rows(fig: Figure, rows: Sequence[Sequence[Tensor]], titles: Sequence[str]) -> None:
    """Rows of pictures ``(C, H, W)`` in [0, 1], with a title above each column."""
    panels = plotting.image_grid(fig, len(rows), len(titles))
    for row, pictures in zip(panels, rows, strict=True):
        for axes, picture, title in zip(row, pictures, titles, strict=True):
            plotting.show_image(axes, picture, title if row is panels[0] else "")


class HeldOutFigures(Callback):
    """Draws at the end of ``fit``, also of one that was stopped, and at the end of ``test``.

    While the held-out batches pass, ``keep`` takes from each what the pictures will need: nothing
    is computed twice, and nothing is drawn before training is over. ``fit`` draws the epoch of the
    best checkpoint; what an earlier process has drawn of a run stays until an epoch is better.
    Every process keeps; rank 0 draws.
    """

    def __init__(self) -> None:
        self._passing: list[Any] = []
        self._best: list[Any] = []
        self._best_epoch = 0

    def keep(self, outputs: Any, batch: Any, count: int) -> list[Any]:
        """What to remember of a batch, on the CPU and of bounded size.

        Args:
            outputs: of ``validation_step`` or ``test_step``.
            batch: of images.
            count: how much is kept of earlier batches of this pass.
        """
        raise NotImplementedError

    def one_loss(self, pl_module: Any) -> bool:
        """Whether training and validation loss are the same quantity, and share an axis."""
        return True

    def curves(self, pl_module: Any, by_epoch: Curves) -> dict[str, Curves]:
        """One or two curves of each panel, by its title and their labels, of what was logged."""
        names = {"training": "train/loss", "validation": "val/loss"}
        losses = {label: by_epoch[name] for label, name in names.items() if name in by_epoch}
        if self.one_loss(pl_module):
            return {"Loss": losses}
        return {f"{label.capitalize()} loss": {label: curve} for label, curve in losses.items()}

    def _draw_curves(self, trainer: pl.Trainer) -> None:
        """Curves, and the task's first main metric by epoch with the best one marked."""
        results = read_results(run_folder(trainer))
        panels = self.curves(trainer.lightning_module, results.by_epoch)
        score = next(iter(main_metrics(results.task, "val", results.by_epoch)), "")
        values, best = results.by_epoch.get(score, {}), results.best_epoch
        if values:
            panels[f"Validation {in_words(score, False)}"] = {"": values}
        caption = f"The best epoch is {best}, by {results.monitor}." if best else ""
        size = (7.2, 3 if len(panels) < 3 else 2.6)
        shown = ", ".join(title[0].lower() + title[1:] for title in panels)
        with figure(trainer, "curves", size, f"By epoch: {shown}", caption) as fig:
            all_axes = fig.subplots(1, len(panels), squeeze=False)[0]
            for axes, (title, curves) in zip(all_axes, panels.items(), strict=True):
                axes.set_title(title)
                for (label, curve), color in zip(curves.items(), (BLUE, VERMILION), strict=False):
                    plot_by_epoch(axes, curve, label, color)
                if len(curves) > 1:
                    axes.legend()
            percent = score == "val/accuracy"
            if best in values:
                value = f"{100 * values[best]:.2f} %" if percent else f"{values[best]:.3f}"
                mark_best(all_axes[-1], best, values[best], f"{value}, epoch {best}")
            if percent:
                percent_axis(all_axes[-1].yaxis)

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        """Draw what was kept of all batches.

        Figures are named ``prefix`` and something, titled something and ``where``.
        """
        raise NotImplementedError

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._passing = []

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if trainer.state.fn != "validate" and not trainer.sanity_checking:
            with warn_on_error("held-out images"):
                self._passing += self.keep(outputs, batch, len(self._passing))

    on_test_batch_end = on_validation_batch_end  # type: ignore[assignment]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        checkpoint: Any = trainer.checkpoint_callback
        score = trainer.callback_metrics.get(getattr(checkpoint, "monitor", None) or "")
        begun = self._best_epoch or any((run_folder(trainer) / "figures").glob("*.png"))
        if not begun or score is None or checkpoint.check_monitor_top_k(trainer, score):
            self._best, self._best_epoch = self._passing, trainer.current_epoch + 1

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._draw_fit(trainer, gather(trainer, self._best))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        # Without gathering: the other processes may not answer any more.
        if trainer.state.fn == "fit" and self._best:
            self._draw_fit(trainer, self._best)

    def _draw_fit(self, trainer: pl.Trainer, kept: list[Any]) -> None:
        if trainer.is_global_zero:
            with warn_on_error("curves"):
                for logger in trainer.loggers:
                    logger.save()
                self._draw_curves(trainer)
        self._draw_images(trainer, kept, "", f"validation, epoch {self._best_epoch}")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._draw_images(trainer, gather(trainer, self._passing), "test_", "test")

    def _draw_images(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        if trainer.is_global_zero and kept:
            with warn_on_error("held-out images"):
                self.draw(trainer, kept, prefix, where)
