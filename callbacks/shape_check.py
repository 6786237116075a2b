"""Checks before training that network, loss and data fit together."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.func import functional_call

from common.errors import DataError


class ShapeCheck(Callback):
    """Sends the shape of an image through the network, without computing anything.

    Raises:
        DataError: channels or sizes do not fit, or the data module belongs to another method.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if type(pl_module).forward is pl.LightningModule.forward:  # a module without a forward
            return
        dataset = data.val_set or data.test_set or data.predict_set or data.train_set
        try:
            batch = data.collate_fn([dataset[0]])
        except DataError:  # reported, or in predict skipped, when it is read
            return
        batch = data.on_after_batch_transfer(batch, 0)
        check_keys(pl_module, data, batch)
        image, target = batch["image"], batch.get("target")
        # Two, because BatchNorm in training mode refuses one where its map is a single pixel ...
        shape = () if target is None else target.shape[1:]
        output = check_shapes(pl_module, 2, image.shape[1:], shape)
        if target is not None and hasattr(pl_module, "discriminator"):
            judged = (*getattr(pl_module, "needs", ("image",)), "target")
            check_discriminator(pl_module.discriminator, [batch[k].shape[1:] for k in judged])
        if stage == "fit":  # ... which the last batch of an epoch may be.
            for name in ("loss", "reconstruction_loss"):
                loss = getattr(pl_module, name, None)
                if loss is not None and target is not None:
                    check_loss(loss, output, torch.cat([target, target]), f"model.{name}")
            last = len(data.train_set) % data.batch_size or data.batch_size
            side = getattr(getattr(data, "augmentation", None), "crop", None)
            shape = image.shape[1:] if side is None else (image.shape[1], side, side)
            if last == 1 or side is not None:
                check_shapes(pl_module, last, shape)


def check_keys(module: pl.LightningModule, data: object, batch: Mapping[str, Any]) -> None:
    """Raise DataError where batches lack what the module says it ``needs``."""
    for key in getattr(module, "needs", ()):
        if key not in batch:
            names = type(data).__name__, type(module).__name__
            raise DataError(
                f"data: the batches of {names[0]} have no {key}, which {names[1]} needs; "
                "give another class"
            )


def check_shapes(
    network: nn.Module, count: int, image: Sequence[int], target: Sequence[int] = ()
) -> Tensor:
    """Raise DataError where a network's output for these images does not have the target's shape.

    Args:
        network: in training or evaluation mode, as it is to be tried.
        count: images in the batch.
        image: shape ``(C, H, W)``.
        target: its shape; checked where the output has as many dimensions.

    Returns:
        Zeros of the output's shape.
    """
    size = " x ".join(map(str, image))
    given = f"{count} images of {size} (channels, height, width), as the data options make them"
    try:
        output = _output(network, torch.zeros(count, *image, device="meta"))
    except (RuntimeError, TypeError, ValueError) as error:
        cause = " ".join(str(error).split())
        raise DataError(f"model.network: does not take {given}: {cause}") from None
    made = output.shape[1:]
    if len(target) == len(made) == 3 and made != tuple(target):
        wrong, right = (" x ".join(map(str, shape)) for shape in (made, target))
        raise DataError(f"model.network: outputs {wrong}, target is {right}, for {given}")
    return torch.zeros(output.shape)


def check_discriminator(network: Any, shapes: Sequence[Sequence[int]]) -> None:
    """Raise DataError where a discriminator does not take parts of a batch of these shapes."""
    try:
        _output(network, *(torch.zeros(2, *shape, device="meta") for shape in shapes))
    except (RuntimeError, TypeError, ValueError) as error:
        cause, given = " ".join(str(error).split()), ", ".join(map(str, map(tuple, shapes)))
        raise DataError(f"model.discriminator: does not take {given} together: {cause}") from None


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


def _output(network: nn.Module, *inputs: Tensor) -> Tensor:
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    on_meta = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    with torch.no_grad():
        try:
            return functional_call(network, on_meta, inputs)
        except (RuntimeError, ValueError):  # or an operation that meta tensors do not have
            device = next(iter(tensors.values())).device
            copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            zeros = tuple(torch.zeros(x.shape, device=device) for x in inputs)
            return functional_call(network, copies, zeros)
