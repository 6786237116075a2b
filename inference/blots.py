"""Western blots from two templates, in the style that is set, of an example, or drawn."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from common.errors import DataError
from common.paths import expand
from common.ranges import ImageSide
from datamodules.blot_files import COURSE, Member, find_templates
from datamodules.blot_style import NAMES, BlotStyle, measure_style
from datamodules.preprocessing import blot_input
from inference import inputs
from inference.graph import SIDES, Graph
from inference.inputs import Source, read_pixels
from inference.model import Item, Model
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
        self.count = every // of_one
        self.mode: Literal["L", "RGB"] = "RGB" if of_one == 3 else "L"

    def predict(self, x: Any, template2: Any = None) -> Any:
        """The blot of its templates, or an iterator over those of many.

        Args:
            x: the first template, or a tuple of all; a folder in one of the layouts of
                `datamodules.blot_files`, a list or any iterable of tuples gives an iterator.
            template2: the second template.

        Raises:
            DataError: a template that cannot be read, is missing or has another shape.
        """
        if template2 is not None:
            x = (x, template2)
        elif self.count == 1 and inputs.is_one(x):
            x = (x,)
        return super().predict(x)

    @classmethod
    def is_one(cls, x: Any) -> bool:
        return isinstance(x, tuple)

    @classmethod
    def each(cls, x: Any) -> Iterator[Any]:
        if inputs.is_one(x):
            raise DataError("one image: a blot is made of several templates; give all, as a tuple")
        if isinstance(x, str | Path):
            return iter([pair.templates for pair in find_templates(expand(x))])
        return inputs.each(x)

    @classmethod
    def pixels(cls, x: Any, mode: Literal["L", "RGB"], name: str) -> tuple[list[Tensor], str]:
        templates = x if isinstance(x, tuple) else (x,)
        read = [
            (t.read(mode), t.path.name)
            if isinstance(t, Member)
            else read_pixels(t, mode, f"{name}, template {i + 1}")
            for i, t in enumerate(templates)
        ]
        sizes = [f"{read_name} is {p.shape[2]}x{p.shape[1]} px" for p, read_name in read]
        if len({pixels.shape for pixels, _ in read}) > 1:
            raise DataError(f"{name}: {', '.join(sizes)}; give templates of one size")
        named = isinstance(templates[0], str | Path | Member)
        return [pixels for pixels, _ in read], read[0][1] if named else name

    def read(self, x: Any, name: str) -> Item:
        templates, name = self.pixels(x, self.mode, name)
        if len(templates) != self.count:
            raise DataError(f"{name}: {len(templates)} template(s); give {self.count}, as a tuple")
        image, shown = blot_input(torch.cat(templates), self.size), map(to_pil_image, templates)
        return {"image": image, "name": name, "shown": tuple(shown)}

    def run(self, items: Sequence[Item]) -> list[Any]:
        templates = torch.stack([item["image"] for item in items]).to(self.settings.device)
        blots = map(to_pil_image, to_gray(self.network(templates).float()).cpu())
        pairs = zip(items, blots, strict=True)
        return [self.result({}, item, {"image": np.array(blot)}) for item, blot in pairs]

    @classmethod
    def result(cls, card: Mapping[str, Any], item: Item, outputs: Mapping[str, Any]) -> BlotResult:
        style = outputs.get("style")
        named = None if style is None else dict(zip(NAMES, style.tolist(), strict=True))
        return BlotResult(item["name"], item["shown"], Image.fromarray(outputs["image"]), named)

    def card(self) -> dict[str, Any]:
        return {
            "mode": "L",
            "size": self.size,
            "templates": list(self.trained.data.get("templates") or COURSE[1]),
            "tables": {"predictions": ["ID", "image"]},
        }

    def graph(self) -> Graph:
        return BlotGraph(self)

    def example_inputs(self, folder: Path) -> list[Any]:
        paths = ([member.path for member in pair.templates] for pair in find_templates(folder))
        return list(map(tuple, paths))


class StyledBlotModel(BlotModel):
    """Blots of the templates' own size, in any style; see `load`.

    The same pair and style always give the same blots.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.size, self.bank = None, self.trained.weights["style_bank"]
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

    def run(self, items: Sequence[Item]) -> list[Any]:
        results = [self._results(item) for item in items]  # one by one: each has its own size
        return results if self.samples > 1 else [result for [result] in results]

    def _results(self, item: Item) -> list[BlotResult]:
        number = range(self.samples)
        templates = item["image"].to(self.settings.device).expand(self.samples, -1, -1, -1)
        asked = torch.from_numpy(self.asked).to(templates).expand(self.samples, -1)
        styles = complete_styles(asked, templates, number, self.bank)
        network: Any = self.network
        blots = to_gray(seeded_blots(network, templates, styles, number)[1])[:, 0]
        pairs = zip(blots.cpu().numpy(), styles.cpu().numpy(), strict=True)
        return [self.result({}, item, {"image": blot, "style": style}) for blot, style in pairs]

    def card(self) -> dict[str, Any]:
        """See `Model.card`; ``noise``: channels, and what its sides are multiples of."""
        card, network = super().card(), self.network
        assert isinstance(network, StyledBlotGenerator)
        return card | {
            "style_bank": [" ".join(map(str, row)) for row in known_styles(self.bank)],
            "noise": [network.noise_channels, network.multiple],
            "tables": card["tables"] | {"styles": ["image", *NAMES]},
        }

    def graph(self) -> Graph:
        return StyledBlotGraph(self)


def _style_vector(style: Any) -> Any:
    if style is None or isinstance(style, BlotStyle):
        return (style or BlotStyle()).vector()
    if not isinstance(style, Mapping):
        return measure_style(read_pixels(style, "L", "style")[0][0].numpy())
    for name in style.keys() - NAMES:
        raise DataError(f"style: no number {name!r}; it has {', '.join(NAMES)}")
    return BlotStyle(**style).vector()


class BlotGraph(Graph):
    """Blots uint8 ``(N, s, s)`` of both templates, uint8 ``(N, 2, s, s)``."""

    fixed = ("pixels",)

    def __init__(self, model: BlotModel) -> None:
        super().__init__(model.network)
        if (model.count, model.mode) != (2, "L"):
            raise DataError("templates: only models of two gray templates can be exported")
        sides = SIDES if model.size is None else (model.size, model.size)
        self.inputs = {"pixels": torch.zeros(2, 2, *sides, dtype=torch.uint8)}
        self.outputs = ("image",)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (to_gray(self.network(blot_input(pixels, None)).float())[:, 0],)


class StyledBlotGraph(BlotGraph):
    """Blots uint8 ``(N, H, W)`` of both templates, uint8 ``(N, 2, H, W)``, in styles ``(N, 8)``.

    The noise has the size that `StyledBlotGenerator.noise_size` gives.
    """

    network: StyledBlotGenerator

    def __init__(self, model: StyledBlotModel) -> None:
        super().__init__(model)
        size = self.network.noise_size(self.inputs["pixels"])
        style = typical_style().expand(2, -1).contiguous()
        self.inputs |= {"style": style, "noise": torch.zeros(2, *size)}

    def free_sides(self) -> tuple[dict[int, Any], ...]:
        from torch.export import Dim

        sides = [Dim(name, min=2) for name in ("rows", "columns")]  # sides of 1 are traced apart
        noise = {axis: self.network.multiple * side for axis, side in enumerate(sides, start=2)}
        batch = {0: Dim.DYNAMIC}
        return {**batch, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, batch, {**batch, **noise}

    def forward(  # type: ignore[override]
        self, pixels: Tensor, style: Tensor, noise: Tensor
    ) -> tuple[Tensor, ...]:
        blots = self.network(blot_input(pixels, None), style, noise)[1]
        return (to_gray(blots.float())[:, 0],)
