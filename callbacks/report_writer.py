"""Writes the report when a run ends."""

import logging
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.exceptions import SIGTERMException

from callbacks.run_recorder import run_folder
from experiment.report import print_scores, write_report
from experiment.run_results import read_results

log = logging.getLogger(__name__)


class ReportWriter(Callback):
    """Writes ``report.html`` when ``fit``, ``validate`` or ``test`` ends, however it ends.

    It also prints the scores, why training stopped early, and where checkpoint and report are; not
    after an error, whose own line is the last.
    """

    # Not on_fit_end: by teardown all figures are drawn, in whatever order the callbacks stand.
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._write(trainer, say=True)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._write(trainer, say=isinstance(exception, (KeyboardInterrupt, SIGTERMException)))

    def _write(self, trainer: pl.Trainer, say: bool) -> None:
        folder, verb = run_folder(trainer), trainer.state.fn or ""
        begun = (folder / "run.json").is_file()
        if verb == "predict" or not trainer.is_global_zero or not begun:
            return
        try:
            if say:
                print_scores(read_results(folder), verb)
            report = write_report(folder)
        except Exception as error:  # the run's results stand without it
            log.warning("no report: %s", str(error).partition("\n")[0])
            return
        if say:
            best = getattr(trainer.checkpoint_callback, "best_model_path", "")
            checkpoint = Path(best or folder / "checkpoints" / "last.ckpt")
            known = verb == "fit" and checkpoint.is_file()
            print(f"checkpoint {checkpoint}  " * known + f"report {report}", flush=True)
