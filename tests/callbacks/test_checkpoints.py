"""Killed anywhere and resumed equals uninterrupted; nothing that was written is ever half there."""

import functools
import os
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor
from torch.utils.data import DataLoader

from callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from callbacks.epochs import EpochSeed, LastValidation
from callbacks.run_recorder import RunRecorder
from experiment.checkpoint_io import AtomicCheckpointIO
from experiment.metrics_csv import MetricsCSV
from experiment.run_results import read_results


class Line(pl.LightningModule):
    """One weight, noise in each step, and a schedule that hangs on the validation loss."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch):
        loss = (self.layer(batch) - torch.rand_like(batch)).square().mean()
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch):
        # Hardly better from epoch to epoch: the plateau is reached again and again.
        self.log("val/loss", 1 + self.layer(batch).square().mean() * 1e-6)
        self.log("val/score", float(self.current_epoch % 3))

    def configure_optimizers(self):
        if self.trainer.check_val_every_n_epoch > 1:
            return torch.optim.Adam(self.parameters(), lr=0.1)
        adam = torch.optim.Adam(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(adam, factor=0.5, patience=1)
        return {
            "optimizer": adam,
            "lr_scheduler": {"scheduler": plateau, "monitor": "val/loss"},
        }


class Keep(RunRecorder):
    """The folder and the metrics of a recorder, without a command line and its config."""

    def __init__(self, folder):
        self.folder, self._record, self._lock = folder, None, None

    def on_fit_start(self, trainer, pl_module):
        """Nothing to record."""

    def on_exception(self, trainer, pl_module, exception):
        """Likewise."""


def fit(folder, resume=False, epochs=7, every=1, callbacks=(), steps=-1):
    pl.seed_everything(1)
    trainer = pl.Trainer(
        max_epochs=epochs,
        max_steps=steps,
        check_val_every_n_epoch=every,
        log_every_n_steps=1,
        logger=MetricsCSV(folder),
        plugins=[AtomicCheckpointIO()],
        callbacks=[
            Keep(folder),
            EpochSeed(1),
            LearningRateMonitor(),
            LastValidation(),
            *callbacks,
            BestCheckpoint("val/score", "max"),
            LastCheckpoint(),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    module = Line()
    # As the data modules do it: an iterator shall not draw from the global generator.
    data = DataLoader(torch.ones(6, 1), batch_size=2, generator=torch.Generator())
    path = folder / "checkpoints" / "last.ckpt"
    trainer.fit(module, data, data, ckpt_path=str(path) if resume else None)
    return trainer, module


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    fit(folder)
    return folder


def state(folder):
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["state_dict"], checkpoint["optimizer_states"], checkpoint["lr_schedulers"]


def assert_equal(first, second):
    assert repr(state(first)) == repr(state(second))
    for name, value in state(first)[0].items():
        assert torch.equal(value, state(second)[0][name])
    tables = [(folder / "metrics.csv").read_text() for folder in (first, second)]
    assert tables[0] == tables[1]
    names = [sorted(p.name for p in (f / "checkpoints").glob("[!.]*")) for f in (first, second)]
    assert names[0] == names[1]


def in_child(function):
    """Run ``function`` in a process of its own, and return its exit status."""
    child = os.fork()
    if child == 0:
        try:
            function()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(patch, owner, name, count, after):
    """Let the ``count``-th call of a function end the process, before or after its work."""
    original, calls = getattr(owner, name), []

    @functools.wraps(original)  # Lightning looks at the arguments that a step takes
    def killing(*args, **kwargs):
        calls.append(None)
        if len(calls) == count and not after:
            os._exit(9)
        result = original(*args, **kwargs)
        if len(calls) == count:
            os._exit(9)
        return result

    patch.setattr(owner, name, killing)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "count"),
    [
        *((os, "replace", count) for count in range(9, 14)),  # each file in its place
        (Path, "write_bytes", 6),  # a checkpoint
        (Path, "write_bytes", 7),
        (Line, "validation_step", 13),
        (Line, "training_step", 11),
        (MetricsCSV, "log_metrics", 17),
        (MetricsCSV, "log_metrics", 18),
        (MetricsCSV, "log_metrics", 19),
        (MetricsCSV, "log_metrics", 20),
        (torch.optim.lr_scheduler.ReduceLROnPlateau, "step", 4),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_killed_and_resumed_equals_uninterrupted(
    whole, tmp_path, monkeypatch, owner, name, count, after
):
    def killed():
        kill_at(monkeypatch, owner, name, count, after)
        fit(tmp_path)

    assert in_child(killed) == 9
    fit(tmp_path, resume=True)
    assert_equal(tmp_path, whole)


def test_resumed_twice_and_by_fewer_epochs(whole, tmp_path):
    for epochs in (2, 5, 7):
        fit(tmp_path, resume=epochs > 2, epochs=epochs)
    assert_equal(tmp_path, whole)


def test_last_is_written_each_epoch_where_validation_is_rare(tmp_path):
    def killed():
        class Kill(pl.Callback):
            def on_train_epoch_start(self, trainer, pl_module):
                if trainer.current_epoch == 3:
                    os._exit(9)

        fit(tmp_path, every=25, callbacks=[Kill()])

    assert in_child(killed) == 9
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["epoch"] >= 1


def test_short_training_validates_at_its_end(tmp_path):
    trainer, _ = fit(tmp_path, epochs=4, every=25)
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("[!.]*"))
    assert names == ["epoch=4-val_score=0.0000.ckpt", "last.ckpt"]
    assert "val/loss" in trainer.callback_metrics


def test_regular_validations_stay_where_they_are(tmp_path):
    fit(tmp_path, epochs=5, every=2)
    assert [*read_results(tmp_path).by_epoch["val/score"]] == [2, 4, 5]


def test_names_count_epochs_as_tables_do(whole):
    names = sorted(path.name for path in (whole / "checkpoints").glob("[!.]*"))
    assert names == ["epoch=3-val_score=2.0000.ckpt", "last.ckpt"]
    best = torch.load(whole / "checkpoints" / names[0], weights_only=True)
    assert best["epoch"] == 2


def test_the_best_is_known_in_a_moved_folder(tmp_path):
    first = BestCheckpoint("val/loss")
    first.dirpath = "runs/aoi/a/checkpoints"
    first.best_model_path = first.kth_best_model_path = f"{first.dirpath}/epoch=2.ckpt"
    first.best_k_models = {first.best_model_path: torch.tensor(0.5)}
    first.best_model_score = first.kth_value = torch.tensor(0.5)
    again = BestCheckpoint("val/loss")
    again.dirpath = str(tmp_path)
    again.load_state_dict(first.state_dict())
    assert not again.best_model_path, "in a folder of its own, a run has a best epoch of its own"
    (tmp_path / "epoch=2.ckpt").touch()
    again.load_state_dict(first.state_dict())
    assert again.best_model_score == 0.5
    assert again.best_k_models == {str(tmp_path / "epoch=2.ckpt"): 0.5}
    assert again.best_model_path == again.kth_best_model_path == str(tmp_path / "epoch=2.ckpt")


def test_max_steps_within_an_epoch_keep_a_best_checkpoint(tmp_path):
    trainer, _ = fit(tmp_path, steps=4)  # epochs have three
    assert trainer.global_step == 4
    assert list(trainer.checkpoint_callback.best_k_models)
    assert len(read_results(tmp_path).by_epoch["val/score"]) == 2
