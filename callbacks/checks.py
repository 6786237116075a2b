"""Refuses data that do not fit the network, and losses and outputs that are not finite."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from common.errors import DataError


class ShapeCheck(Callback):
    """Sends the shape of two images through the network, without computing anything.

    Raises:
        DataError: channels or sizes do not fit, or batches lack what the module ``needs``.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if type(pl_module).forward is pl.LightningModule.forward:  # a module without a forward
            return
        dataset = data.val_set or data.test_set or data.predict_set or data.train_set
        try:
            batch = data.on_after_batch_transfer(data.collate_fn([dataset[0]]), 0)
        except DataError:  # reported, or in predict skipped, when it is read
            return
        for key in getattr(pl_module, "needs", ()):
            if key not in batch:
                names = type(data).__name__, type(pl_module).__name__
                raise DataError(f"data: {names[0]} gives no {key}, which {names[1]} needs")
        image, target = batch["image"], batch.get("target")
        given = f"2 images of {_words(image)} (channels, height, width), as the data options say"
        tensors = {**dict(pl_module.named_parameters()), **dict(pl_module.named_buffers())}
        for device in ("meta", image.device):  # meta lacks some operations
            copies = {name: tensor.detach().clone().to(device) for name, tensor in tensors.items()}
            try:
                with torch.no_grad():
                    pair = torch.zeros(2, *image.shape[1:], device=device)
                    made = functional_call(pl_module, copies, pair)
                break
            except (AssertionError, RuntimeError, TypeError, ValueError) as error:
                cause = " ".join(str(error).split())
        else:
            raise DataError(f"model.network: does not take {given}: {cause}")
        images = target is not None and target.ndim == made.ndim == 4
        if images and target[0].shape != made[0].shape:
            shapes = f"outputs {_words(made)}, target is {_words(target)}"
            raise DataError(f"model.network: {shapes}, for {given}")


def _words(images: Tensor) -> str:
    return " x ".join(map(str, images.shape[1:]))


class NonFiniteGuard(Callback):
    """Stops ``fit`` at a loss of ``training_step`` that is not finite, before it is saved.

    It looks every ``log_every_n_steps``, as each look waits for a GPU. ``predict`` refuses such
    outputs.

    Raises:
        DataError: one line that names the epoch.
    """

    def __init__(self) -> None:
        self._sum: Any = 0.0  # of the losses since the last look; not finite if any is not

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, i: int
    ) -> None:
        self._sum = sum((loss.detach().float().sum() for loss in _floats(outputs)), self._sum)
        if (i + 1) % max(1, trainer.log_every_n_steps) == 0:  # type: ignore[attr-defined]
            self._look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._look(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":  # before the best checkpoint is saved
            self._look(trainer)

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if not all(bool(values.isfinite().all()) for values in _floats(outputs)):
            names = ", ".join(batch["name"])
            raise DataError(f"{names}: the model's output is not finite; look at the image")

    def _look(self, trainer: pl.Trainer) -> None:
        bad, self._sum = not math.isfinite(self._sum), 0.0
        # In all processes at once, so that none waits for another that has stopped.
        if trainer.strategy.reduce_boolean_decision(bad, all=False):
            raise DataError(
                f"epoch {trainer.current_epoch + 1}: the training loss is not finite; lower the "
                "learning rate or clip gradients"
            )


def _floats(values: Any) -> list[Tensor]:
    """Floating-point tensors in nested dicts and lists."""
    return [x for x in tree_leaves(values) if isinstance(x, Tensor) and x.is_floating_point()]
