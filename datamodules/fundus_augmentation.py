"""Random views of a fundus photograph and of its masks."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2


@dataclass(frozen=True)
class Augmentation:
    """How training pictures vary. Light is varied in units of the standardised image.

    Args:
        crop: side in px of what is cut out around a random point of the field of view; None keeps
            the whole picture.
        zoom: least and greatest magnification, drawn evenly in its logarithm.
        aspect: width and height differ by up to ``exp(2 aspect)``.
        gain: contrast, up to ``exp(gain)`` for all channels.
        channel_gain: likewise, for each channel on its own.
        offset: deviation of what is added to each channel.
        mixing: deviation of what each channel takes from each.
        noise: the greatest deviation of noise.
    """

    crop: int | None = 160
    zoom: tuple[float, float] = (0.75, 1.6)
    aspect: float = 0.1
    gain: float = 0.35
    channel_gain: float = 0.15
    offset: float = 0.2
    mixing: float = 0.05
    noise: float = 0.1

    def build(self) -> v2.Compose:
        """The transform of one picture (``tv_tensors.Image``) with its masks."""
        return v2.Compose([RandomView(self), RandomLight(self)])


def _uniform(low: float, high: float) -> float:
    return float(torch.empty(()).uniform_(low, high))


class RandomView(v2.Transform):
    """Turned by any angle, mirrored, magnified, stretched and cut, in a single resampling.

    The last mask channel is the field of view, where crops are centred. Masks come out with values
    between 0 and 1 at their edges, which is what part of such a pixel is vessel.
    """

    def __init__(self, how: Augmentation) -> None:
        super().__init__()
        self.how = how

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        masks = next(item for item in flat_inputs if isinstance(item, tv_tensors.Mask))
        height, width = masks.shape[-2:]
        rows, columns = self.how.crop or height, self.how.crop or width
        centre = [(height - 1) / 2, (width - 1) / 2]
        if self.how.crop is not None:
            inside = masks[-1].flatten().nonzero()
            point = int(inside[torch.randint(len(inside), ())]) if len(inside) else 0
            centre = [point // width, point % width] if len(inside) else centre
        angle = _uniform(-math.pi, math.pi)
        zoom = math.exp(_uniform(*(math.log(limit) for limit in self.how.zoom)))
        stretch = math.exp(_uniform(-self.how.aspect, self.how.aspect))
        mirror = 1 if torch.rand(()) < 0.5 else -1
        y = (torch.arange(rows, device=masks.device) - (rows - 1) / 2) / zoom / stretch
        x = (torch.arange(columns, device=masks.device) - (columns - 1) / 2) / zoom * stretch
        y, x = torch.meshgrid(y, x * mirror, indexing="ij")
        across = math.cos(angle) * x - math.sin(angle) * y + centre[1]
        down = math.sin(angle) * x + math.cos(angle) * y + centre[0]
        grid = [(2 * across + 1) / width - 1, (2 * down + 1) / height - 1]
        return {"grid": torch.stack(grid, dim=-1)[None]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        seen = F.grid_sample(inpt.float()[None], params["grid"], align_corners=False)[0]
        return tv_tensors.wrap(seen, like=inpt)


class RandomLight(v2.Transform):
    """Other gains, offsets and mixtures of the channels, and noise; leaves masks alone."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, how: Augmentation) -> None:
        super().__init__()
        self.how = how

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        how, channels = self.how, len(inpt)
        gain = _uniform(-how.gain, how.gain)
        gains = gain + torch.empty(channels).uniform_(-how.channel_gain, how.channel_gain)
        mixture = torch.eye(channels) + how.mixing * torch.randn(channels, channels)
        offset = mixture @ (how.offset * torch.randn(channels))
        image = torch.einsum(
            "ij,jhw->ihw", (mixture * gains.exp()).to(inpt), inpt.as_subclass(Tensor)
        )
        image += offset.to(inpt)[:, None, None]
        image += _uniform(0, how.noise) * torch.randn_like(image)
        return image
