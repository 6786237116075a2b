"""Base class of the models: read images, batch them, run the network."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from common.read_ahead import read_ahead
from experiment.checkpoints import Checkpoint
from inference.graph import Graph
from inference.inputs import each, is_one

Result = TypeVar("Result")
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
    """A trained network, and how its task asks it; see `load`.

    Attributes:
        network: in eval mode, on ``settings.device``.
        trained: the checkpoint it was made from.
        settings: where it runs.
    """

    def __init__(self, network: nn.Module, trained: Checkpoint, settings: Settings) -> None:
        self.network, self.trained, self.settings = network, trained, settings

    @abstractmethod
    def read(self, x: Any, name: str) -> dict[str, Any]:
        """One image as the network takes it, not yet in a batch."""

    @abstractmethod
    def run(self, items: Sequence[dict[str, Any]]) -> list[Result]:
        """The results of a batch of what `read` returned."""

    @abstractmethod
    def graph(self) -> Graph:
        """What is exported."""

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
        return self._many(each(x))

    @staticmethod
    def is_one(x: Any) -> bool:
        """Whether ``x`` is one input of this task."""
        return is_one(x)

    def _many(self, images: Iterator[Any]) -> Iterator[Result]:
        items = (self.read(x, f"image {i}") for i, x in enumerate(images))
        batches = iter(lambda: list(islice(items, self.settings.batch_size)), [])
        for batch in read_ahead(batches):
            yield from self._run(batch)

    def _run(self, items: Sequence[dict[str, Any]]) -> list[Result]:
        with torch.inference_mode(), self.settings.autocast():
            return self.run(items)

    def __repr__(self) -> str:
        where = f"{self.settings.device}, {self.settings.precision}"
        return f"{type(self).__name__}({self.trained.path}, {where})"
