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

Tensors = tuple[Tensor, ...] | list[Tensor]


class WeightAverage(WeightAveraging):
    """An exponential moving average of the weights, for validation and in checkpoints.

    The newest weights count ``max(1 - decay, 9 / (10 + steps))``, so that a short training does not
    keep its random initial weights. A checkpoint's ``state_dict`` is the average, and its
    ``current_model_state`` the trained weights.

    Lightning's own averages the whole module; this one only its submodules, or some of them.

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
        self._loaded = dict[str, Any]()  # the checkpoint that is resumed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        for other in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(other, WeightAveraging | StochasticWeightAveraging) and other is not self:
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
        self._loaded = checkpoint

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # By now the parts are on their device, and hold the ``state_dict`` of a checkpoint.
        self._average_model = AveragedModel(
            self._parts, multi_avg_fn=self._average, use_buffers=self.modules is None
        )
        if "averaging_state" in self._loaded:
            self._average_model.n_averaged.copy_(self._loaded["averaging_state"]["n_averaged"])
            pl_module.load_state_dict(self._loaded["current_model_state"])
        self._loaded = {}

    def _average(self, averages: Tensors, weights: Tensors, _: Any) -> None:
        # All at once: one call per tensor would take a GPU longer than the network.
        assert self._average_model is not None
        if averages[0].is_floating_point():
            steps = int(self._average_model.n_averaged)  # on the CPU, so that no GPU is waited for
            torch._foreach_lerp_(averages, weights, max(9 / (10 + steps), 1 - self.decay))
        else:
            torch._foreach_copy_(averages, weights)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *rest: Any) -> None:
        super().on_train_batch_end(trainer, self._parts, *rest)  # type: ignore[arg-type]

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
