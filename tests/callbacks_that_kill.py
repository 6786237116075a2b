"""Ways for a run to end early; given to ``cli.py`` with ``--trainer.callbacks+=``."""

import os
import signal

from pytorch_lightning.callbacks import Callback


class StopAt(Callback):
    """Sends this process a signal within an epoch, after its second batch has begun."""

    def __init__(self, epoch: int, signal_name: str) -> None:
        self.epoch, self.signal = epoch, signal.Signals[signal_name]

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            if self.signal == signal.SIGINT:  # which a shell's background jobs ignore
                signal.signal(signal.SIGINT, signal.default_int_handler)
            os.kill(os.getpid(), self.signal)


class RaiseAt(Callback):
    """Raises RuntimeError when an epoch begins: a run that ends early within a test's process."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("stopped")
