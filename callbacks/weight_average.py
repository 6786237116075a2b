"""An exponential moving average of the weights, for validation and checkpoints."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from common.errors import DataError
from lit_models.optim.moving_average import moving_average


class WeightAverage(Callback):
    """An exponential moving average of the weights, for validation and in checkpoints.

    It reaches back ``1 / (1 - decay)`` steps, but no more than a ninth of those done, so that short
    trainings do not keep what the weights were at random. A checkpoint's ``state_dict`` is the
    average, its ``current_model_state`` what is trained on.

    Lightning's `WeightAveraging` averages the whole module and copies it with all that it refers
    to: by way of the optimizers' callables the command line, the trainer and the cached data.

    Args:
        decay: from 0 to below 1.
        modules: names of the parts whose weights are averaged, such as ``generator``; all else is
            then what was trained, as are the parts' buffers (BatchNorm's statistics, spectral
            norm's vectors). Null averages weights and buffers of all parts.

    Raises:
        DataError: ``decay`` is outside its range, or the model has no such part.
    """

    def __init__(self, decay: float = 0.9995, modules: Sequence[str] | None = None) -> None:
        if not 0 <= decay < 1:
            raise DataError(f"callbacks.WeightAverage: decay is {decay}; give 0 to below 1")
        self.decay, self.modules = decay, modules
        self._parts = nn.Module()  # the trained parts themselves
        self._average: AveragedModel | None = None
        self._steps = 0  # optimizer steps at the last update

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        parts = dict(pl_module.named_children())
        for name in parts if self.modules is None else self.modules:
            if name not in parts:
                raise DataError(
                    f"callbacks.WeightAverage: the model has no part {name!r}; it has "
                    f"{', '.join(parts)}"
                )
            self._parts.add_module(name, parts[name])
        self._average = AveragedModel(
            self._parts, multi_avg_fn=moving_average(self.decay), use_buffers=self.modules is None
        )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self._average is not None
        self._average.to(pl_module.device)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step > self._steps:  # not while gradients are accumulated
            assert self._average is not None
            self._average.update_parameters(self._parts)
            self._steps = trainer.global_step

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for average, current in self._pairs():
            current.data.copy_(average.data)

    def _swap(self) -> None:
        for average, current in self._pairs():
            kept = average.data.clone()
            average.data.copy_(current.data)
            current.data.copy_(kept)

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._average is not None:
            average = self._average.module
            yield from zip(average.parameters(), self._parts.parameters(), strict=True)
            yield from zip(average.buffers(), self._parts.buffers(), strict=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._average is None:
            return
        current = checkpoint["state_dict"]
        checkpoint["current_model_state"] = current
        checkpoint["state_dict"] = {**current, **self._average.module.state_dict()}
        checkpoint["averaging_state"] = {"n_averaged": self._average.n_averaged}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._average is None:
            return
        # The module has loaded ``state_dict`` by now.
        self._average.module.load_state_dict(self._parts.state_dict())
        self._steps = checkpoint["global_step"]
        if "averaging_state" in checkpoint:
            self._average.n_averaged.copy_(checkpoint["averaging_state"]["n_averaged"])
            pl_module.load_state_dict(checkpoint["current_model_state"])
