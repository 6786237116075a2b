"""A check before training that data and network fit together."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.func import functional_call

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
                raise DataError(
                    f"data: the batches of {names[0]} have no {key}, which {names[1]} needs; "
                    "give another class"
                )
        check_shapes(pl_module, batch["image"], batch.get("target"))


def check_shapes(network: nn.Module, image: Tensor, target: Tensor | None = None) -> None:
    """Raise DataError where a network does not make targets of images.

    Args:
        network: of the module.
        image: a batch ``(1, C, H, W)``, of which only the shape matters.
        target: likewise; only one of four dimensions is compared.
    """
    given = f"2 images of {_words(image.shape)} (channels, height, width), as the data options make"
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for device in ("meta", image.device):  # meta lacks some operations, and words for some errors
        copies = {name: tensor.detach().clone().to(device) for name, tensor in tensors.items()}
        pair = torch.zeros(2, *image.shape[1:], device=device)
        try:
            with torch.no_grad():
                made = functional_call(network, copies, pair).shape
            break
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            cause = " ".join(str(error).split())
    else:
        raise DataError(f"model.network: does not take {given} them: {cause}")
    if target is not None and target.ndim == len(made) == 4 and target.shape[1:] != made[1:]:
        shapes = f"outputs {_words(made)}, target is {_words(target.shape)}"
        raise DataError(f"model.network: {shapes}, for {given} them")


def _words(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[1:]))
