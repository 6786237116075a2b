"""Base class of the models: read images, batch them, run the network."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from common.read_ahead import read_ahead
from experiment.checkpoints import Checkpoint
from inference import inputs
from inference.graph import Graph

Result = TypeVar("Result")
Item = dict[str, Any]  # with ``name`` and ``shown``, what was given as an image of Pillow
AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Settings:
    """Where and how a network runs.

    Attributes:
        device: of the network.
        precision: "32-true", "bf16-mixed" or "16-mixed", in Lightning's terms.
        batch_size: images that are predicted at once.
    """

    device: torch.device
    precision: str
    batch_size: int

    def autocast(self) -> AbstractContextManager[Any]:
        """As the Trainer runs a step."""
        if self.precision in AUTOCAST:
            return torch.autocast(self.device.type, AUTOCAST[self.precision])
        return nullcontext()


class Model(ABC, Generic[Result]):
    """A trained network, and how its task uses it; see `load`.

    A subclass is all that load(), export, the page and ensembles need of a task, and is named in
    `experiment.tasks`.

    Attributes:
        network_name: of the network in its LightningModule.
        average: of the outputs ``(M, ...)`` of several networks; None: ensembles are refused.
        sample: module with the ``draw_sample`` of the built-in data.
        network: in eval mode, on ``settings.device``.
        trained: the checkpoint it was made from.
        settings: where it runs.
    """

    network_name: ClassVar[str] = "network"
    average: ClassVar[Any] = None
    sample: ClassVar[str]

    def __init__(self, network: nn.Module, trained: Checkpoint, settings: Settings) -> None:
        self.network, self.trained, self.settings = network, trained, settings

    @abstractmethod
    def read(self, x: Any, name: str) -> Item:
        """One image as the network takes it, not yet in a batch."""

    @abstractmethod
    def run(self, items: Sequence[Item]) -> list[Result]:
        """The results of a batch of what `read` returned."""

    @classmethod
    @abstractmethod
    def result(cls, card: Mapping[str, Any], item: Item, outputs: Mapping[str, Any]) -> Result:
        """The result for one image.

        Args:
            card: settings that it depends on, by their names in `card`.
            item: its ``name``, and ``shown``.
            outputs: arrays as the graph gives them, by name.
        """

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """Settings of the model card, as values of JSON; `infer_onnx` predicts by them.

        ``mode`` is that of the images, ``tables`` the columns of each table that it writes.
        """

    @abstractmethod
    def graph(self) -> Graph:
        """What is exported."""

    @abstractmethod
    def example_inputs(self, folder: Path) -> list[Any]:
        """What `predict` takes, of a folder in the layout of the training data."""

    def predict(self, x: Any) -> Any:
        """The result for one image, or an iterator over those of many.

        Args:
            x: a path, a PIL image, or an array uint8 ``(H, W)`` or ``(H, W, 3)``, in RGB; a folder,
                a list or any iterable of these gives an iterator, which reads as it goes, in
                batches.

        Raises:
            DataError: not an image, or one that cannot be read; from the iterator where it gets to
                it.
        """
        if self.is_one(x):
            return self._run([self.read(x, "image")])[0]
        return self._many(self.each(x))

    @classmethod
    def is_one(cls, x: Any) -> bool:
        """Whether ``x`` is one input of this task."""
        return inputs.is_one(x)

    @classmethod
    def each(cls, x: Any) -> Iterator[Any]:
        """The inputs in a folder or an iterable; see `inputs.each`."""
        return inputs.each(x)

    @classmethod
    def pixels(cls, x: Any, mode: Literal["L", "RGB"], name: str) -> tuple[list[Tensor], str]:
        """Images uint8 ``(C, H, W)`` of one input, and its name; see `inputs.read_pixels`."""
        pixels, name = inputs.read_pixels(x, mode, name)
        return [pixels], name

    def _many(self, images: Iterator[Any]) -> Iterator[Result]:
        items = (self.read(x, f"image {i}") for i, x in enumerate(images))
        batches = iter(lambda: list(islice(items, self.settings.batch_size)), [])
        for batch in read_ahead(batches):
            yield from self._run(batch)

    def _run(self, items: Sequence[Item]) -> list[Result]:
        with torch.inference_mode(), self.settings.autocast():
            return self.run(items)

    def __repr__(self) -> str:
        where = f"{self.settings.device}, {self.settings.precision}"
        return f"{type(self).__name__}({self.trained.path}, {where})"
