"""An exponential moving average of the weights, for validation and checkpoints."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import StochasticWeightAveraging, WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from common.errors import DataError
from common.ranges import HalfOpenUnitInterval


class WeightAverage(WeightAveraging):
    """An exponential moving average of the weights, for validation and in checkpoints.

    The newest weights count ``max(1 - decay, 9 / (10 + steps))``, so that a short training does not
    keep its random initial weights. A checkpoint's ``state_dict`` is the average, and its
    ``current_model_state`` the trained weights. Lightning's own averages the whole module.

    Args:
        decay: 0 or more, below 1.
        modules: names of the modules whose weights, but not buffers (BatchNorm's statistics,
            spectral norm's vectors), are averaged, such as ``generator``. Null averages weights and
            buffers of all modules.

    Raises:
        DataError: the model has no such part, or another callback averages, too.
    """

    def __init__(
        self, decay: HalfOpenUnitInterval = 0.9995, modules: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        self.decay, self.modules = decay, modules
        self._parts = nn.Module()  # the trained parts themselves
        self._averaged = list[tuple[Tensor, Tensor]]()  # averages, each with the trained tensor
        self._copied = list[tuple[Tensor, Tensor]]()
        self._loaded = dict[str, Any]()  # the checkpoint that is resumed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        for other in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(other, WeightAveraging | StochasticWeightAveraging) and other is not self:
                names = f"WeightAverage or {type(other).__name__}"
                raise DataError(f"trainer.callbacks: {names}, not both")
        parts = dict(pl_module.named_children())
        for name in parts if self.modules is None else self.modules:
            if name not in parts:
                own = ", ".join(parts)
                raise DataError(f"callbacks.WeightAverage: no part {name!r}; the model has {own}")
            self._parts.add_module(name, parts[name])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._loaded = checkpoint

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # By now the parts are on their device, and hold the ``state_dict`` of a checkpoint.
        self._average_model = AveragedModel(self._parts)
        if "averaging_state" in self._loaded:
            self._average_model.n_averaged.copy_(self._loaded["averaging_state"]["n_averaged"])
            pl_module.load_state_dict(self._loaded["current_model_state"])
        self._loaded = {}
        current, weights = self._parts.state_dict(), dict(self._parts.named_parameters())
        for name, average in self._average_model.module.state_dict().items():
            averaged = average.is_floating_point() and (name in weights or self.modules is None)
            (self._averaged if averaged else self._copied).append((average, current[name]))

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self._latest_update_step:  # while gradients are accumulated
            return
        self._latest_update_step = trainer.global_step
        assert self._average_model is not None
        steps = int(self._average_model.n_averaged)  # on the CPU, so that no GPU is waited for
        self._average_model.n_averaged += 1
        weight = max(9 / (10 + steps), 1 - self.decay) if steps else 1.0
        # All at once: one call per tensor would take a GPU longer than the network.
        if self._averaged:
            averages, weights = zip(*self._averaged, strict=True)
            torch._foreach_lerp_(averages, weights, weight)
        if self._copied:
            copies, values = zip(*self._copied, strict=True)
            torch._foreach_copy_(copies, values)

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        super()._swap_models(self._parts)  # type: ignore[arg-type]

    def _copy_average_to_current(self, pl_module: pl.LightningModule) -> None:
        super()._copy_average_to_current(self._parts)  # type: ignore[arg-type]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        trained = checkpoint["state_dict"]
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        checkpoint["state_dict"] = {**trained, **checkpoint["state_dict"]}
