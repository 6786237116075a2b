"""Western blots from two templates, in the style that is set, of an example, or drawn."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from common.errors import DataError
from common.ranges import ImageSide
from datamodules.blot_files import COURSE, find_templates
from datamodules.blot_style import NAMES, BlotStyle, measure_style
from datamodules.preprocessing import blot_input
from inference.inputs import Source, read_pixels
from inference.model import SIDES, Item, Model, Values
from inference.results import BlotResult
from lit_models.networks.styled_blot_generator import (
    StyledBlotGenerator,
    complete_styles,
    known_styles,
    seeded_blots,
    typical_style,
)
from lit_models.postprocessing.pixels import to_gray


class BlotModel(Model[BlotResult]):
    """Blots from pairs of templates; see `load`."""

    network_name = "generator"
    sample = "datamodules.synthetic.blots"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Of the templates, as in training; None: their own.
        self.size: int | None = int(ImageSide(self.trained.data["size"]))
        every, of_one = self.trained.model.get("channels", (2, 1))
        self.templates = every // of_one
        self.mode = "RGB" if of_one == 3 else "L"

    def preprocess(self, pixels: Tensor) -> Tensor:
        return blot_input(pixels, self.size)

    def answers(self, images: Tensor) -> dict[str, Tensor]:
        blots = to_gray(self.network(images).float())
        return {"image": blots[:, 0] if self.mode == "L" else blots.movedim(1, -1)}

    @classmethod
    def result(cls, card: Values, item: Item, outputs: Values) -> BlotResult:
        style = outputs.get("style")
        named = None if style is None else dict(zip(NAMES, style.tolist(), strict=True))
        return BlotResult(item["name"], item["shown"], Image.fromarray(outputs["image"]), named)

    def card(self) -> dict[str, Any]:
        return {
            "mode": "L",
            "size": self.size,
            "templates": list(COURSE[1]),
            "tables": {"predictions": ["ID", "image"]},
        }

    def example_inputs(self, folder: Path) -> list[Any]:
        return [tuple(one.path for one in pair.templates) for pair in find_templates(folder)]

    def graph_inputs(self) -> dict[str, Tensor]:
        """``pixels`` are of both templates, uint8 ``(N, 2, H, W)``."""
        if (self.templates, self.mode) != (2, "L"):
            raise DataError("templates: only models of two gray templates can be exported")
        return {"pixels": torch.zeros(2, 2, *SIDES, dtype=torch.uint8)}

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Blots uint8 ``(N, s, s)``, or of the templates' size."""
        return self.answers(self.preprocess(pixels))


class StyledBlotModel(BlotModel):
    """Blots of the templates' own size, in any style; see `load`.

    The same pair and style always give the same blots.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.size, self.bank = None, self.trained.weights["style_bank"]
        self.bank_rows = [" ".join(map(str, row)) for row in known_styles(self.bank)]
        self.asked, self.samples = BlotStyle().vector(), 1

    def predict(
        self,
        x: Any,
        template2: Any = None,
        style: BlotStyle | Mapping[str, float] | Source | None = None,
        samples: int = 1,
    ) -> Any:
        """See `Model.predict`; of more than one sample, a list of them for each pair.

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
        return Model.predict(view, x, template2)

    def run(self, items: Sequence[Item]) -> Iterable[Values]:
        network: Any = self.network
        number = range(self.samples)
        for item in items:  # one by one: each has its own size
            templates = item["image"].to(self.device).expand(self.samples, -1, -1, -1)
            asked = torch.from_numpy(self.asked).to(templates).expand(self.samples, -1)
            styles = complete_styles(asked, templates, number, self.bank)
            blots = to_gray(seeded_blots(network, templates, styles, number)[1])[:, 0]
            yield {"image": blots.cpu().numpy(), "style": styles.cpu().numpy()}

    @classmethod
    def result(cls, card: Values, item: Item, outputs: Values) -> Any:
        pairs, one = zip(outputs["image"], outputs["style"], strict=True), super().result
        every = [one(card, item, {"image": image, "style": style}) for image, style in pairs]
        return every if len(every) > 1 else every[0]

    def card(self) -> dict[str, Any]:
        """See `Model.card`; ``noise``: channels, and what its sides are multiples of."""
        card, network = super().card(), self.network
        assert isinstance(network, StyledBlotGenerator)
        return card | {
            "style_bank": self.bank_rows,
            "noise": [network.noise_channels, network.multiple],
            "tables": card["tables"] | {"styles": ["image", *NAMES]},
        }

    def graph_inputs(self) -> dict[str, Tensor]:
        """``style`` ``(N, 8)``, and ``noise`` of `StyledBlotGenerator.noise_size`."""
        found, network = super().graph_inputs(), self.network
        assert isinstance(network, StyledBlotGenerator)
        noise = torch.zeros(2, *network.noise_size(found["pixels"]))
        return {**found, "style": typical_style().expand(2, -1).contiguous(), "noise": noise}

    def forward(  # type: ignore[override]
        self, pixels: Tensor, style: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        blots = self.network(self.preprocess(pixels), style, noise)[1]
        return {"image": to_gray(blots.float())[:, 0]}


def _style_vector(style: Any) -> Any:
    if style is None or isinstance(style, BlotStyle):
        return (style or BlotStyle()).vector()
    if not isinstance(style, Mapping):
        return measure_style(read_pixels(style, "L", "style")[0][0].numpy())
    for name in style.keys() - NAMES:
        raise DataError(f"style: no number {name!r}; it has {', '.join(NAMES)}")
    return BlotStyle(**style).vector()
