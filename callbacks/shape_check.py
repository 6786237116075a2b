"""A check before training that data, network and loss fit together."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.func import functional_call

from common.errors import DataError


class ShapeCheck(Callback):
    """Sends the shape of two images through network and loss, without computing anything.

    Raises:
        DataError: channels or sizes do not fit, or the data module belongs to another method.
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
        check_keys(pl_module, data, batch)
        target = batch.get("target")
        output = check_shapes(pl_module, batch["image"], target)
        for name in ("loss", "reconstruction_loss") if stage == "fit" else ():
            loss = getattr(pl_module, name, None)
            if loss is not None and target is not None and output is not None:
                check_loss(loss, output, torch.cat([target, target]), f"model.{name}")


def check_keys(module: pl.LightningModule, data: object, batch: Mapping[str, Any]) -> None:
    """Raise DataError where batches lack what the module says it ``needs``."""
    for key in getattr(module, "needs", ()):
        if key not in batch:
            names = type(data).__name__, type(module).__name__
            raise DataError(
                f"data: the batches of {names[0]} have no {key}, which {names[1]} needs; "
                "give another class"
            )


def check_shapes(network: nn.Module, image: Tensor, target: Tensor | None = None) -> Tensor | None:
    """Zeros of a network's output for two images ``(1, C, H, W)``; None where meta cannot say.

    Raises:
        DataError: the network refuses them, or its output has another shape than the target.
    """
    size = _words(image.shape[1:])
    given = f"2 images of {size} (channels, height, width), as the data options make them"
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    on_meta = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    try:
        with torch.no_grad():
            pair = torch.zeros(2, *image.shape[1:], device="meta")
            shape = functional_call(network, on_meta, pair).shape
    except (RuntimeError, TypeError, ValueError) as error:
        cause = " ".join(str(error).split())
        if "meta" in cause:  # an operation that meta tensors do not have
            return None
        raise DataError(f"model.network: does not take {given}: {cause}") from None
    if target is not None and target.ndim == len(shape) == 4 and target.shape[1:] != shape[1:]:
        made, right = _words(shape[1:]), _words(target.shape[1:])
        raise DataError(f"model.network: outputs {made}, target is {right}, for {given}")
    return torch.zeros(shape)


def check_loss(loss: nn.Module, output: Tensor, target: Tensor, option: str) -> None:
    """Raise DataError where a loss of output and target is not one number."""
    target = target.float() if output.dim() == target.dim() else target
    shapes = f"{tuple(output.shape)} and {target.dtype} {tuple(target.shape)}"
    name = f"{option}: {type(loss).__name__}"
    try:
        value = loss(output, target)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        cause = " ".join(str(error).split())[:200]
        raise DataError(f"{name} does not take outputs and targets {shapes}: {cause}") from None
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise DataError(f"{name} gives more than one number for {shapes}; set its reduction")


def _words(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
