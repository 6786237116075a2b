"""Western blots from two templates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from common.errors import DataError
from common.paths import expand
from common.ranges import ImageSide
from datamodules.blot_files import Member, find_templates
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
            DataError: a template that cannot be read, two of different shapes, one without the
                other.
        """
        if template2 is not None:
            x = (x, template2)
        elif is_one(x):
            x = (x,)
        elif isinstance(x, str | Path):
            pairs = find_templates(expand(x))
            x = [pair.templates for pair in pairs]
        return super().predict(x)

    @staticmethod
    def is_one(x: Any) -> bool:
        return isinstance(x, tuple)

    def read(self, x: Any, name: str) -> dict[str, Any]:
        x = x if isinstance(x, tuple) else (x,)
        if len(x) != self.count:
            raise DataError(f"{name}: {len(x)} template(s); give {self.count}, as a tuple")
        read = [
            (t.read(self.mode), t.path.name)
            if isinstance(t, Member)
            else read_pixels(t, self.mode, f"{name}, template {i + 1}")
            for i, t in enumerate(x)
        ]
        first, first_name = read[0]
        for other, other_name in read[1:]:
            if first.shape != other.shape:
                sizes = [f"{t.shape[2]}x{t.shape[1]}" for t in (other, first)]
                raise DataError(
                    f"{other_name}: is {sizes[0]} pixels but {first_name} is {sizes[1]}; "
                    "give templates of one size"
                )
        name = first_name if isinstance(x[0], str | Path | Member) else name
        shown = tuple(to_pil_image(t) for t, _ in read)
        pixels = torch.cat([t for t, _ in read])
        return {
            "image": blot_input(pixels, self.size if self.resizes else None),
            "name": name,
            "shown": shown,
        }

    def run(self, items: Sequence[dict[str, Any]]) -> list[BlotResult]:
        templates = torch.stack([item["image"] for item in items]).to(self.settings.device)
        blots = to_gray(self.network(templates).float()).cpu()
        return [
            BlotResult(item["name"], item["shown"], to_pil_image(blot))
            for item, blot in zip(items, blots, strict=True)
        ]

    def graph(self) -> Graph:
        return BlotGraph(self)


class BlotGraph(Graph):
    """Blots uint8 ``(N, s, s)`` of both templates, uint8 ``(N, 2, s, s)``."""

    fixed = ("pixels",)

    def __init__(self, model: BlotModel) -> None:
        super().__init__(model.network)
        if (model.count, model.mode) != (2, "L"):
            raise DataError("templates: only models of two gray templates can be exported")
        self.inputs = {"pixels": torch.zeros(2, 2, model.size, model.size, dtype=torch.uint8)}
        self.outputs = ("image",)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (to_gray(self.network(blot_input(pixels, None)).float())[:, 0],)
