"""Predicts with an exported model through onnxruntime; same results as a checkpoint."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from common.errors import DataError
from common.paths import expand
from common.read_ahead import read_ahead
from datamodules.blot_files import find_pairs
from datamodules.blot_style import NAMES
from inference import results
from inference.graph import MORE_INPUTS
from inference.inputs import each, is_one, read_pixels

Run = Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]]


class ExportedModel:
    """A model that `inference.export` wrote; see `inference.load`.

    Args:
        run: asks the graph: arrays by the names of the inputs to the list of its outputs.
        card: what is in ``model.json``.
        path: of the file.
    """

    def __init__(self, run: Run, card: dict[str, Any], path: Path) -> None:
        self.run, self.card, self.path = run, card, path

    def predict(self, x: Any, template2: Any = None) -> Any:
        """As `inference.model.Model.predict`; for blots as `inference.blots.BlotModel.predict`."""
        x = x if template2 is None else (x, template2)
        if self.card["task"] != "blots":
            return self._one((x,), "image") if is_one(x) else self._many(each(x))
        if isinstance(x, tuple):
            return self._one(x, "image")
        if isinstance(x, str | Path) and not is_one(x):
            pairs = find_pairs(expand(x), self.card["templates"], None)
            x = [tuple(template.path for template in pair.templates) for pair in pairs]
        elif is_one(x):
            raise DataError("one image: a blot is made of two templates; give both")
        return self._many(each(x))

    def _many(self, images: Iterator[Any]) -> Iterator[Any]:
        blots = self.card["task"] == "blots"
        items = (self._read(x if blots else (x,), f"image {i}") for i, x in enumerate(images))
        yield from map(self._answer, read_ahead(items))

    def _one(self, images: Sequence[Any], name: str) -> Any:
        return self._answer(self._read(images, name))

    def _read(self, images: Sequence[Any], name: str) -> list[tuple[Tensor, str]]:
        return [read_pixels(x, self.card["mode"], name) for x in images]

    def _answer(self, read: Sequence[tuple[Tensor, str]]) -> Any:
        arrays = [p[0].numpy() if len(p) == 1 else p.permute(1, 2, 0).numpy() for p, _ in read]
        if len({a.shape for a in arrays}) > 1:
            raise DataError(f"{read[0][1]}: templates of different sizes; give one size")
        from inference.infer_onnx import ask  # needs onnxruntime

        modules = [MORE_INPUTS[name] for name in self.card["inputs"] if name in MORE_INPUTS]
        try:
            answers = ask(self.run, self.card, arrays, modules)
        except ValueError as error:
            raise DataError(f"{read[0][1]}: {error}") from None
        return self._result(read[0][1], [Image.fromarray(a) for a in arrays], answers)

    def _result(self, name: str, shown: list[Image.Image], answers: dict[str, np.ndarray]) -> Any:
        if self.card["task"] == "aoi":
            p, names = answers["probabilities"], self.card["class_names"]
            label, maps = int(p.argmax()), answers.get("activations")
            probabilities = dict(zip(names, p.tolist(), strict=True))
            activation = None if maps is None else maps[label]
            return results.DefectResult(
                name, names[label], probabilities, shown[0], activation, self.card["resize"]
            )
        if self.card["task"] == "vessels":
            p, threshold = answers["probability"], self.card["threshold"]
            more = answers.get("uncertainty"), self.card.get("centerline")
            return results.VesselResult(name, shown[0], p, threshold, *more)
        image = Image.fromarray(answers["image"])
        if self.card["task"] == "blots":
            numbers = answers.get("style")
            style = None
            if numbers is not None:
                style = dict(zip(NAMES, numbers.tolist(), strict=True))
            return results.BlotResult(name, (shown[0], shown[1]), image, style)
        scores = {kind: float(answers[kind]) for kind in ("psnr", "ssim")}
        return ExportedRetinaResult(name, shown[0], image, scores=scores)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path}, {self.card['task']}, {self.card['name']})"


@dataclass(frozen=True, eq=False)
class ExportedRetinaResult(results.RetinaResult):
    """A copy whose scores the graph has computed."""

    _copy: torch.Tensor = dataclasses.field(default_factory=lambda: torch.empty(0), repr=False)
    _truth: torch.Tensor = dataclasses.field(default_factory=lambda: torch.empty(0), repr=False)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def _scores(self) -> dict[str, float]:  # type: ignore[override]
        return self.scores


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
    except KeyError:
        raise DataError(f"{path}: has no model card; give one that `cli.py export` wrote") from None
    except Exception as error:  # whatever onnxruntime meets in a file that is not its own
        cause = str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be loaded ({cause})") from None
