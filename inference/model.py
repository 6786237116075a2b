"""Base class of the models: from pixels to results, in torch and as the graph that is exported.

What is predicted, loaded and exported calls the same functions of the task. The graph is traced
(``torch.export``), so nothing in it may depend on a tensor's values. There, pixels are resized in
uint8, for which ONNX has no antialiased ``Resize`` like torch's: at most one gray level beside it,
in less than 2 % of the pixels in six sizes tried.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import to_pil_image

from common.errors import DataError
from common.paths import expand
from common.read_ahead import read_ahead
from datamodules.synthetic.cache import cached_sample
from experiment.checkpoints import Checkpoint
from inference import inputs

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Item = dict[str, Any]  # with ``name`` and ``shown``, a tuple of what was given as images of Pillow
Values = Mapping[str, Any]
AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
SIDES = (67, 81)  # of what is traced: multiples of nothing, so that no padding is left out


class Model(nn.Module, ABC, Generic[Result]):
    """A trained network, and how its task uses it; see `load`.

    A subclass is all that load(), export, the page and ensembles need of a task, and is named in
    `experiment.tasks`. It has `preprocess` and `answers`, or, where images are of different sizes
    for the network or the graph has more inputs than pixels, its own `prepare`, `run` and
    `forward`.

    Attributes:
        network_name: of the network in its LightningModule.
        average: of the outputs ``(M, ...)`` of several networks; None: ensembles are refused.
        sample: module with the ``draw_sample`` of the built-in data.
        templates: how many images an input is a tuple of; 0 where it is an image.
        mode: "L" where the model sees gray, "RGB" where it sees color.
        network: in eval mode, on ``device``.
        trained: the checkpoint it was made from.
        device: where it runs.
        precision: "32-true", "bf16-mixed" or "16-mixed", in Lightning's terms.
        batch_size: images that are predicted at once.
    """

    network_name: ClassVar[str] = "network"
    average: ClassVar[Any] = None
    sample: ClassVar[str]
    templates: int = 0
    mode: Literal["L", "RGB"] = "RGB"

    def __init__(
        self,
        network: nn.Module,
        trained: Checkpoint,
        device: torch.device,
        precision: str = "32-true",
        batch_size: int = 1,
    ) -> None:
        super().__init__()
        self.network, self.trained, self.device = network, trained, device
        self.precision, self.batch_size = precision, batch_size

    def preprocess(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 ``(..., C, H, W)`` of files, all of one size in a batch."""
        raise NotImplementedError

    def answers(self, images: Tensor) -> dict[str, Tensor]:
        """What `result` needs of each image, by name, for a batch of what `preprocess` returned."""
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def result(cls, card: Values, item: Item, outputs: Values) -> Result:
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

    def example_inputs(self, folder: Path) -> list[Any]:
        """What `predict` takes, of a folder in the layout of the training data."""
        raise NotImplementedError

    def prepare(self, pixels: Tensor) -> Item:
        """One image uint8 ``(C, H, W)`` as `run` takes it."""
        return {"image": self.preprocess(pixels)}

    def run(self, items: Sequence[Item]) -> Iterable[Values]:
        """For each of a batch of what `read` returned, what `result` needs, arrays by name."""
        images = torch.stack([item["image"].as_subclass(Tensor) for item in items])
        answers = self.answers(images.to(self.device))
        arrays = {name: values.cpu().numpy() for name, values in answers.items()}
        return [{name: values[i] for name, values in arrays.items()} for i in range(len(items))]

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """What is exported: from `graph_inputs` to the outputs of a batch by name."""
        return self.answers(self.preprocess(channels_first(pixels)))

    def graph_inputs(self) -> dict[str, Tensor]:
        """Name and example of each argument of `forward`, a batch of 2.

        ``pixels`` are as files have them, uint8 ``(N, H, W)`` for "L" or ``(N, H, W, 3)``.
        """
        color = [3] if self.mode == "RGB" else []
        return {"pixels": torch.zeros(2, *SIDES, *color, dtype=torch.uint8)}

    def predict(self, x: Any, template2: Any = None) -> Any:
        """The result for one image, or an iterator over those of many.

        Args:
            x: a path, a PIL image, or an array uint8 ``(H, W)`` or ``(H, W, 3)``, in RGB; a folder,
                a list or any iterable of these gives an iterator, which reads as it goes, in
                batches. For blots the first template or a tuple of all; a folder in one of the
                layouts of `datamodules.blot_files`, or an iterable of tuples.
            template2: the second template of a blot.

        Raises:
            DataError: not an image, or one that cannot be read; templates that are missing or
                differ in shape. From the iterator where it gets to it.
        """
        x = x if template2 is None else (x, template2)
        if inputs.is_one(x, self.templates):
            return self._run([self.read(x, "image")])[0]
        return self._many(inputs.each(x, self.templates))

    def read(self, x: Any, name: str) -> Item:
        """One input as `run` takes it; ``name`` where it has none."""
        images, name = inputs.read_images(x, self.mode, name, self.templates)
        item = self.prepare(images[0] if len(images) == 1 else torch.cat(images))
        return {**item, "name": name, "shown": tuple(map(to_pil_image, images))}

    def _many(self, images: Iterator[Any]) -> Iterator[Result]:
        items = (self.read(x, f"image {i}") for i, x in enumerate(images))
        batches = iter(lambda: list(islice(items, self.batch_size)), [])
        for batch in read_ahead(batches):
            yield from self._run(batch)

    def _run(self, items: Sequence[Item]) -> list[Result]:
        kind, card = AUTOCAST.get(self.precision), self.card()
        with torch.inference_mode(), torch.autocast(self.device.type, kind, kind is not None):
            pairs = zip(items, self.run(items), strict=True)
            return [self.result(card, item, outputs) for item, outputs in pairs]

    def examples(self, count: int, folder: Path | None = None) -> list[Any]:
        """Inputs of `predict`, spread evenly over the images; of the test split if any.

        They are those of ``folder``, by default the training's, or where it is gone the built-in
        sample's.

        Raises:
            DataError: the sample cannot be drawn.
        """
        given, found = folder or self.trained.data.get("data_dir"), list[Any]()
        if given is not None:
            try:
                found = self.example_inputs(expand(given))
            except DataError as error:
                log.warning("no images (%s); those of the sample instead", error)
        sample = import_module(self.sample).draw_sample
        found = found or self.example_inputs(cached_sample(sample, 0))
        count = min(count, len(found))
        return [found[i * len(found) // count] for i in range(count)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.trained.path}, {self.device}, {self.precision})"


def channels_first(pixels: Tensor) -> Tensor:
    """Pixels of files ``(N, H, W)`` or ``(N, H, W, 3)`` as ``(N, C, H, W)``."""
    return pixels[:, None] if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)
