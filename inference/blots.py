"""Western blots from two templates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from common.errors import DataError
from common.paths import expand
from common.ranges import ImageSide
from datamodules.blot_files import find_triples
from datamodules.preprocessing import blot_input
from inference.graph import Graph
from inference.inputs import is_one, read_pixels
from inference.model import Model
from inference.results import BlotResult
from lit_models.postprocessing.pixels import to_gray


class BlotModel(Model[BlotResult]):
    """Blots from pairs of templates; see `load`."""

    resizes: ClassVar[bool] = True  # templates to the size of the training

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.size = int(ImageSide(self.trained.data["size"]))

    def predict(self, x: Any, template2: Any = None) -> Any:
        """The blot of two templates, or an iterator over those of many pairs.

        Args:
            x: the first template, or a tuple of both; a folder in the layout of the training data,
                a list or any iterable of tuples gives an iterator.
            template2: the second template.

        Raises:
            DataError: a template that cannot be read, two of different shapes, one without the
                other.
        """
        if template2 is not None:
            x = (x, template2)
        elif is_one(x):
            raise DataError("one image: a blot is made of two templates; give both")
        elif isinstance(x, str | Path):
            data = self.trained.data
            patterns = data["template1"], data["template2"]
            triples = find_triples(expand(x), *patterns, None)
            x = [(triple.template1, triple.template2) for triple in triples]
        return super().predict(x)

    @staticmethod
    def is_one(x: Any) -> bool:
        return isinstance(x, tuple)

    def read(self, x: Any, name: str) -> dict[str, Any]:
        if not isinstance(x, tuple) or len(x) != 2:
            raise DataError(f"{name}: give two templates, as a tuple")
        first, first_name = read_pixels(x[0], "L", f"{name}, template 1")
        second, second_name = read_pixels(x[1], "L", f"{name}, template 2")
        if first.shape != second.shape:
            sizes = [f"{t.shape[2]}x{t.shape[1]}" for t in (second, first)]
            raise DataError(
                f"{second_name}: is {sizes[0]} pixels but {first_name} is {sizes[1]}; "
                "give two of one size"
            )
        name = first_name if isinstance(x[0], str | Path) else name
        shown = tuple(Image.fromarray(t[0].numpy()) for t in (first, second))
        pixels = torch.cat([first, second])
        return {
            "image": blot_input(pixels, self.size if self.resizes else None),
            "name": name,
            "shown": shown,
        }

    def run(self, items: Sequence[dict[str, Any]]) -> list[BlotResult]:
        templates = torch.stack([item["image"] for item in items]).to(self.settings.device)
        blots = to_gray(self.network(templates).float()).cpu()
        return [
            BlotResult(item["name"], item["shown"], Image.fromarray(blot[0].numpy()))
            for item, blot in zip(items, blots, strict=True)
        ]

    def graph(self) -> Graph:
        return BlotGraph(self)


class BlotGraph(Graph):
    """Blots uint8 ``(N, s, s)`` of both templates, uint8 ``(N, 2, s, s)``."""

    fixed = ("pixels",)

    def __init__(self, model: BlotModel) -> None:
        super().__init__(model.network)
        self.inputs = {"pixels": torch.zeros(2, 2, model.size, model.size, dtype=torch.uint8)}
        self.outputs = ("image",)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (to_gray(self.network(blot_input(pixels, None)).float())[:, 0],)
