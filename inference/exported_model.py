"""Predicts with an exported model through onnxruntime or openvino; same results as a checkpoint."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from common.errors import DataError
from common.read_ahead import read_ahead
from experiment.tasks import task_of
from inference.graph import MORE_INPUTS
from inference.infer_onnx import ask, inputs_of, session
from inference.loading import model_class

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
        # The models of a task read and show alike.
        self.kind = model_class(next(iter(task_of(card["task"]).models), card["task"]), path)

    def predict(self, x: Any, template2: Any = None) -> Any:
        """As `inference.model.Model.predict`; for blots as `inference.blots.BlotModel.predict`."""
        x = x if template2 is None else (x, template2)
        if self.kind.is_one(x):
            return self._answer(*self.kind.pixels(x, self.card["mode"], "image"))
        images = enumerate(self.kind.each(x))
        read = (self.kind.pixels(one, self.card["mode"], f"image {i}") for i, one in images)
        return (self._answer(*one) for one in read_ahead(read))

    def inputs(self, x: Any) -> dict[str, np.ndarray]:
        """What the graph takes for one image, a batch of 1."""
        pixels, _ = self.kind.pixels(x, self.card["mode"], "image")
        return {name: x[None] for name, x in inputs_of(*self._given(pixels)).items()}

    def _given(self, pixels: list[Tensor]) -> tuple[Any, ...]:
        arrays = [p[0].numpy() if len(p) == 1 else p.permute(1, 2, 0).numpy() for p in pixels]
        modules = [MORE_INPUTS[name] for name in self.card["inputs"] if name in MORE_INPUTS]
        return self.card, arrays, modules

    def _answer(self, pixels: list[Tensor], name: str) -> Any:
        try:
            outputs = ask(self.run, *self._given(pixels))
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None
        shown = tuple(to_pil_image(one) for one in pixels)
        item = {"name": name, "shown": shown if len(shown) > 1 else shown[0]}
        return self.kind.result(self.card, item, outputs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path}, {self.card['task']}, {self.card['name']})"


def load_exported(path: Path) -> ExportedModel:
    """An exported ``.onnx`` or ``.xml``, on what onnxruntime finds or on the CPU.

    Raises:
        DataError: no such file, none that `inference.export` wrote, a package is missing.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give one that `cli.py export` wrote")
    try:
        run, card = session(path)
        return ExportedModel(run, card, path)
    except ImportError as error:
        extra = "openvino" if path.suffix == ".xml" else "export"
        raise DataError(f"{path}: {error}; pip install -e '.[{extra}]'") from None
    except DataError:
        raise
    except Exception as error:  # whatever it meets in a file that is not its own
        cause = str(error).strip().partition("\n")[0]
        raise DataError(f"{path}: cannot be loaded ({cause}); export it again") from None
