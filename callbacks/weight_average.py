"""An exponential moving average of the weights, for validation and checkpoints."""

import copy
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, StochasticWeightAveraging, WeightAveraging
from torch import Tensor, nn

from common.errors import DataError


class WeightAverage(Callback):
    """An exponential moving average of the weights, for validation and in checkpoints.

    The newest weights count ``max(1 - decay, 9 / (10 + steps))``, so that a short training does not
    keep its random initial weights. A checkpoint's ``state_dict`` is the average, and its
    ``current_model_state`` the trained weights.

    Lightning's `WeightAveraging` copies the whole module with all that it refers to: through the
    callables of the optimizers also the command line, the trainer and the cached data.

    Args:
        decay: 0 or more, below 1.
        modules: names of the modules whose weights, but not buffers (BatchNorm's statistics,
            spectral norm's vectors), are averaged, such as ``generator``. Null averages weights and
            buffers of all modules.

    Raises:
        DataError: ``decay`` is outside its range, or the model has no such part.
    """

    def __init__(self, decay: float = 0.9995, modules: Sequence[str] | None = None) -> None:
        if not 0 <= decay < 1:
            raise DataError(f"callbacks.WeightAverage: decay is {decay}; give 0 to below 1")
        self.decay, self.modules = decay, modules
        self._parts = nn.Module()  # the trained parts themselves
        self._average: nn.Module | None = None
        self._averaged = list[tuple[Tensor, Tensor]]()  # averages, each with the trained tensor
        self._copied = list[tuple[Tensor, Tensor]]()
        self._loaded: dict[str, Any] | None = None  # the checkpoint that is resumed
        self._count = 0  # updates of the average
        self._steps = 0  # optimizer steps at the last update

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        for other in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(other, WeightAveraging | StochasticWeightAveraging):
                names = f"WeightAverage and {type(other).__name__}"
                raise DataError(f"trainer.callbacks: {names}: give one of them")
        parts = dict(pl_module.named_children())
        for name in parts if self.modules is None else self.modules:
            if name not in parts:
                raise DataError(
                    f"callbacks.WeightAverage: the model has no part {name!r}; it has "
                    f"{', '.join(parts)}"
                )
            self._parts.add_module(name, parts[name])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == "fit":
            self._loaded = checkpoint

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # By now the parts are on their device, and hold the ``state_dict`` of a checkpoint.
        self._average = copy.deepcopy(self._parts)
        current = self._parts.state_dict()
        weights = dict(self._parts.named_parameters())
        for name, average in self._average.state_dict().items():
            averaged = average.is_floating_point() and (name in weights or self.modules is None)
            (self._averaged if averaged else self._copied).append((average, current[name]))
        if self._loaded is not None:
            self._steps = self._loaded["global_step"]
            if "averaging_state" in self._loaded:
                self._count = int(self._loaded["averaging_state"]["n_averaged"])
                pl_module.load_state_dict(self._loaded["current_model_state"])
            self._loaded = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self._steps:  # while gradients are accumulated
            return
        self._steps = trainer.global_step
        weight = max(9 / (10 + self._count), 1 - self.decay) if self._count else 1.0
        self._count += 1
        # All at once: one call per tensor would take a GPU longer than the network.
        if self._averaged:
            averages, weights = zip(*self._averaged, strict=True)
            torch._foreach_lerp_(averages, weights, weight)
        if self._copied:
            copies, values = zip(*self._copied, strict=True)
            torch._foreach_copy_(copies, values)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._average is not None:
            self._parts.load_state_dict(self._average.state_dict())

    def _swap(self) -> None:
        if self._average is not None:
            kept = {name: value.clone() for name, value in self._parts.state_dict().items()}
            self._parts.load_state_dict(self._average.state_dict())
            self._average.load_state_dict(kept)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._average is not None:
            current = checkpoint["state_dict"]
            checkpoint["current_model_state"] = current
            checkpoint["state_dict"] = {**current, **self._average.state_dict()}
            checkpoint["averaging_state"] = {"n_averaged": torch.tensor(self._count)}
