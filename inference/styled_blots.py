"""Western blots in a style that is set, taken from an example, or drawn."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from common.errors import DataError
from datamodules.blot_style import NAMES, BlotStyle, measure_style
from datamodules.preprocessing import blot_input
from inference.blots import BlotModel
from inference.graph import SIDES, Graph
from inference.inputs import Source, read_pixels
from inference.results import BlotResult
from lit_models.networks.styled_blot_generator import StyledBlotGenerator, typical_style
from lit_models.postprocessing.pixels import to_gray
from lit_models.postprocessing.styled_blots import complete_styles, generate_styled, known_rows


class StyledBlotModel(BlotModel):
    """Blots of the templates' own size, in any style; see `load`.

    The same pair and style always give the same blots.
    """

    resizes = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.known = self.trained.weights["style_bank"]
        self.asked, self.samples = BlotStyle().vector(), 1

    def predict(
        self,
        x: Any,
        template2: Any = None,
        style: BlotStyle | Mapping[str, float] | Source | None = None,
        samples: int = 1,
    ) -> Any:
        """See `BlotModel.predict`; of more than one sample, a list of them for each pair.

        Args:
            x: as there.
            template2: as there.
            style: what is set of it, as `BlotStyle` or by name, or an image of a blot that has it;
                the rest is drawn as the training's blots are distributed.
            samples: blots for each pair.

        Raises:
            DataError: as there; a style that does not exist or is outside its range.
        """
        if samples < 1:
            raise DataError(f"samples {samples}: give 1 or more")
        view = copy(self)
        view.asked, view.samples = _style_vector(style), samples
        return BlotModel.predict(view, x, template2)

    @property
    def noise(self) -> tuple[int, int]:
        """Channels of the network's noise, and what its sides are multiples of."""
        network: Any = self.network
        return network.noise_channels, network.multiple

    def known_rows(self) -> np.ndarray:
        """Float32 ``(M, 9)``: membrane and style of blots to draw from, one typical one at least.

        Drawn from them, what is not asked for is what `complete_styles` gives.
        """
        return known_rows(self.known)

    def run(self, items: Sequence[dict[str, Any]]) -> list[Any]:
        results = [self._results(item) for item in items]  # one by one: each has its own size
        return results if self.samples > 1 else [result for [result] in results]

    def _results(self, item: dict[str, Any]) -> list[BlotResult]:
        number = torch.arange(self.samples)
        templates = item["image"].to(self.settings.device).expand(self.samples, -1, -1, -1)
        asked = torch.from_numpy(self.asked).to(templates).expand(self.samples, -1)
        styles = complete_styles(asked, templates, number, self.known)
        network: Any = self.network
        blots = generate_styled(network, templates, styles, number).cpu()
        return [
            BlotResult(
                item["name"],
                item["shown"],
                Image.fromarray(blot[0].numpy()),
                dict(zip(NAMES, style, strict=True)),
            )
            for blot, style in zip(blots, styles.tolist(), strict=True)
        ]

    def graph(self) -> Graph:
        return StyledBlotGraph(self)


def _style_vector(style: Any) -> Any:
    if style is None or isinstance(style, BlotStyle):
        return (style or BlotStyle()).vector()
    if not isinstance(style, Mapping):
        return measure_style(read_pixels(style, "L", "style")[0][0].numpy())
    for name in style:
        if name not in NAMES:
            raise DataError(f"style: no number {name!r}; it has {', '.join(NAMES)}")
    return BlotStyle(**style).vector()


class StyledBlotGraph(Graph):
    """Blots uint8 ``(N, H, W)`` of both templates, uint8 ``(N, 2, H, W)``, in styles ``(N, 8)``.

    The noise has the size that `StyledBlotGenerator.noise_size` gives.
    """

    network: StyledBlotGenerator

    def __init__(self, model: StyledBlotModel) -> None:
        super().__init__(model.network)
        pixels = torch.zeros(2, 2, *SIDES, dtype=torch.uint8)
        self.inputs = {
            "pixels": pixels,
            "style": typical_style().expand(2, -1).contiguous(),
            "noise": torch.zeros(2, *self.network.noise_size(pixels)),
        }
        self.outputs = ("image",)

    def free_sides(self) -> tuple[dict[int, Any], ...]:
        from torch.export import Dim

        sides = [Dim(name, min=2) for name in ("rows", "columns")]  # sides of 1 are traced apart
        noise = {axis: self.network.multiple * side for axis, side in enumerate(sides, start=2)}
        batch = {0: Dim.DYNAMIC}
        return {**batch, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, batch, {**batch, **noise}

    def forward(self, pixels: Tensor, style: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        blots = self.network(blot_input(pixels, None), style, noise)[1]
        return (to_gray(blots.float())[:, 0],)
