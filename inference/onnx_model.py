"""Predicts with an exported model through onnxruntime; same results as a checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from common.errors import DataError
from common.read_ahead import read_ahead
from experiment.tasks import TASKS
from inference.graph import MORE_INPUTS
from inference.loading import import_model

Run = Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]]


class ExportedModel:
    """A model that `inference.export` wrote; see `inference.load`.

    Args:
        run: computes the graph: arrays by the names of the inputs to the list of its outputs.
        card: what is in ``model.json``.
        path: of the file.

    Raises:
        DataError: of a task that is not declared here.
    """

    def __init__(self, run: Run, card: dict[str, Any], path: Path) -> None:
        self.run, self.card, self.path = run, card, path
        models = TASKS[card["task"]].models if card["task"] in TASKS else {}
        if not models:
            raise DataError(f"{path}: is of task {card['task']!r}, which has no model here")
        self.kind = import_model(next(iter(models.values())))  # which read and show alike

    def predict(self, x: Any, template2: Any = None) -> Any:
        """As `inference.model.Model.predict`; for blots as `inference.blots.BlotModel.predict`."""
        x = x if template2 is None else (x, template2)
        if self.kind.is_one(x):
            return self._answer(self._read(x, "image"))
        return self._many(self.kind.each(x, self.card))

    def _many(self, images: Iterator[Any]) -> Iterator[Any]:
        items = (self._read(x, f"image {i}") for i, x in enumerate(images))
        yield from map(self._answer, read_ahead(items))

    def _read(self, x: Any, name: str) -> tuple[list[Tensor], str]:
        return self.kind.pixels(x, self.card["mode"], name)

    def _answer(self, read: tuple[list[Tensor], str]) -> Any:
        from inference.infer_onnx import ask  # needs onnxruntime

        pixels, name = read
        arrays = [p[0].numpy() if len(p) == 1 else p.permute(1, 2, 0).numpy() for p in pixels]
        modules = [MORE_INPUTS[name] for name in self.card["inputs"] if name in MORE_INPUTS]
        try:
            outputs = ask(self.run, self.card, arrays, modules)
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None
        shown = tuple(to_pil_image(one) for one in pixels)
        item = {"name": name, "shown": shown if len(shown) > 1 else shown[0]}
        return self.kind.result(self.card, item, outputs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path}, {self.card['task']}, {self.card['name']})"


def load_onnx(path: Path) -> ExportedModel:
    """An exported ``.onnx``, on what onnxruntime finds.

    Raises:
        DataError: no such file, none that `inference.export` wrote, onnxruntime is missing.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give one that `cli.py export` wrote")
    try:
        from inference.infer_onnx import session

        run, card = session(path)
        return ExportedModel(run, card, path)
    except ImportError:
        raise DataError(f"{path}: needs onnxruntime; pip install -e '.[export]'") from None
    except DataError:
        raise
    except Exception as error:  # whatever onnxruntime meets in a file that is not its own
        cause = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be loaded ({cause}); export it again") from None
