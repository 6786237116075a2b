"""Predicts with an exported model through onnxruntime or openvino; same results as a checkpoint."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torchvision.transforms.v2.functional import to_pil_image

from common.errors import DataError
from common.read_ahead import read_ahead
from datamodules import blot_draws
from datamodules.transforms import field_of_view
from experiment.tasks import task_of
from inference.infer_onnx import ask, inputs_of, session
from inference.inputs import each, is_one, read_images
from inference.loading import model_class

Run = Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]]
# What gives an input that is not in the files, by its name: numpy alone, `field_of_view` scipy too.
MORE_INPUTS = {"fov": field_of_view, "noise": blot_draws}


class ExportedModel:
    """A model that `inference.export` wrote; see `inference.load`.

    Args:
        run: computes the graph: arrays by the names of the inputs to the list of its outputs.
        card: what is in ``model.json``.
        path: of the file.

    Raises:
        DataError: of a task that is not declared here.
    """

    def __init__(self, run: Run | None, card: dict[str, Any], path: Path) -> None:
        self.run, self.card, self.path = run, card, path
        # The models of a task show alike.
        self.kind = model_class(next(iter(task_of(card["task"]).models), card["task"]), path)
        self.modules = [MORE_INPUTS[name] for name in card["inputs"] if name in MORE_INPUTS]

    def predict(self, x: Any, template2: Any = None) -> Any:
        """As `inference.model.Model.predict`."""
        x = x if template2 is None else (x, template2)
        if is_one(x, self.kind.templates):
            return self._answer(*self._read(x, "image"))
        many = enumerate(each(x, self.kind.templates))
        read = (self._read(one, f"image {i}") for i, one in many)
        return (self._answer(*one) for one in read_ahead(read))

    def inputs(self, x: Any) -> dict[str, np.ndarray]:
        """What the graph takes for one image, a batch of 1."""
        arrays, _ = self._read(x, "image")
        found = inputs_of(self.card, arrays, self.modules)
        return {name: values[None] for name, values in found.items()}

    def _read(self, x: Any, name: str) -> tuple[list[np.ndarray], str]:
        images, name = read_images(x, self.card["mode"], name)
        return [p[0].numpy() if len(p) == 1 else p.permute(1, 2, 0).numpy() for p in images], name

    def _answer(self, arrays: list[np.ndarray], name: str) -> Any:
        item = {"name": name, "shown": tuple(map(to_pil_image, arrays))}
        try:
            outputs = ask(self.run, self.card, arrays, self.modules)
            return self.kind.result(self.card, item, outputs)
        except KeyError as error:
            raise DataError(f"{name}: the model card or the model has no {error}") from None
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None

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
