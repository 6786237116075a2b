"""The network takes the images that the data module gives; seen before anything is trained."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.func import functional_call

from datamodules.errors import DataError


class ShapeCheck(Callback):
    """Sends the shape of an image through the network, which computes nothing.

    Raises:
        DataError: channels or sizes do not fit.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if (
            type(pl_module).forward is pl.LightningModule.forward
        ):  # nothing to send an image through
            return
        dataset = data.val_set or data.test_set or data.predict_set or data.train_set
        try:
            batch = data.collate_fn([dataset[0]])
        except DataError:  # told, or in predict skipped, when its turn comes
            return
        batch = data.on_after_batch_transfer(batch, 0)
        image, target = batch["image"], batch.get("target")
        # Two, for BatchNorm in training mode refuses one where its map is a single pixel ...
        shape = () if target is None else target.shape[1:]
        output = check_shapes(pl_module, 2, image.shape[1:], shape)
        if stage == "fit":  # ... which the last batch of an epoch may be.
            for name in ("loss", "reconstruction_loss"):
                loss = getattr(pl_module, name, None)
                if loss is not None and target is not None:
                    check_loss(loss, output, torch.cat([target, target]), f"model.{name}")
            last = len(data.train_set) % data.batch_size or data.batch_size
            check_shapes(pl_module, last, image.shape[1:])


def check_shapes(
    network: nn.Module, count: int, image: Sequence[int], target: Sequence[int] = ()
) -> Tensor:
    """Refuse a network that does not make targets of images of these shapes.

    Args:
        network: in the mode that it shall be tried in.
        count: images in the batch.
        image: ``(C, H, W)``.
        target: of an output of as many dimensions.

    Returns:
        An output of zeros.

    Raises:
        DataError: see there.
    """
    size = " x ".join(map(str, image))
    given = f"{count} images of {size} (channels, height, width), as the data options make them"
    try:
        output = _output(network, torch.zeros(count, *image, device="meta"))
    except (RuntimeError, ValueError) as error:
        cause = " ".join(str(error).split())
        raise DataError(f"model.network: does not take {given}: {cause}") from None
    made = output.shape[1:]
    if len(target) == len(made) == 3 and made != tuple(target):
        wrong, right = (" x ".join(map(str, shape)) for shape in (made, target))
        raise DataError(f"model.network: makes {wrong}, not {right}, of {given}")
    return torch.zeros(output.shape)


def check_loss(loss: nn.Module, output: Tensor, target: Tensor, option: str) -> None:
    """Refuse a loss that does not make one number of the network's output and the target.

    Raises:
        DataError: see there.
    """
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


def _output(network: nn.Module, images: Tensor) -> Tensor:
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    on_meta = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    with torch.no_grad():
        try:
            return functional_call(network, on_meta, (images,))
        except (RuntimeError, ValueError):  # or an operation that meta tensors do not have
            device = next(iter(tensors.values())).device
            copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            return functional_call(network, copies, (torch.zeros(images.shape, device=device),))
