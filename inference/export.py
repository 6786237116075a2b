"""``python cli.py export``: a trained model as one file that runs without this project.

Beside it lie its card, see `model_card`, and for ONNX ``infer_onnx.py``, which predicts files with
numpy, pillow and onnxruntime alone. ``--format checkpoint`` is for use with this project: weights
and settings without the rest of a training. The export is refused where it does not predict what
the checkpoint predicts (in float32) on images of the run's own data.
"""

import argparse
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from common import image_pixels
from common.errors import DataError
from common.paths import expand
from experiment.atomic import writing
from experiment.checkpoint_io import write_portable
from experiment.checkpoints import find_checkpoints
from experiment.run_folder import prediction_parent
from inference.examples import examples
from inference.graph import MORE_INPUTS, Graph
from inference.loading import load_trained
from inference.model_card import model_card, sha256
from inference.onnx_model import ExportedModel, load_onnx
from inference.options import add_checkpoint_options, chosen_checkpoint

log = logging.getLogger(__name__)
FILES = {"onnx": "model.onnx", "torch_export": "model.pt2", "checkpoint": "model.ckpt"}
OPSET = 18  # the first whose Resize has antialias
CHECKED = 8  # images
# A resized pixel may be off by one gray level, see `graph`.
PROBABILITY_TOLERANCE = 0.01
LEAST_DICE = 0.99
GRAY_LEVELS = 0.5  # mean difference of the pixels of an image


@dataclass
class Parity:
    """How far an exported model is from its checkpoint on the same images.

    Attributes:
        images: how many were compared.
        differences: by what was measured.
        ok: whether all lie within their tolerance.
    """

    images: int
    differences: dict[str, float]
    ok: bool

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value:.3g}" for name, value in self.differences.items())
        return f"parity with the checkpoint on {self.images} images: {values}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``export``."""
    add_checkpoint_options(parser)
    parser.add_argument("--format", choices=list(FILES), default="onnx")
    parser.add_argument("--output", type=Path, help="folder; export/ in the run's by default")


def run(options: argparse.Namespace) -> Path:
    """Export what the options ask for, and return the folder; see `export`."""
    return export(chosen_checkpoint(options), options.format, options.output)


def export(source: Path, kind: str = "onnx", output: Path | None = None) -> Path:
    """Write a trained model as ``model.onnx``, ``model.pt2`` or ``model.ckpt``, with its card.

    Args:
        source: run folder or checkpoint.
        kind: "onnx", which has a runner beside it, "torch_export" or "checkpoint".
        output: folder; ``export/`` in the run's folder by default. Files of an earlier export are
            replaced, and only when the new ones are whole and checked.

    Raises:
        DataError: no such checkpoint, a package is missing, a network that cannot be exported, or
            a difference above the tolerance.
    """
    if kind == "onnx":
        _check_packages()
    (path,) = find_checkpoints(source)
    folder = expand(output or prediction_parent(path) / "export")
    model = load_trained(path, device="cpu", precision="32-true")
    images: list[Any] = examples(model, CHECKED)
    expected = [model.predict(x) for x in images]  # before all else: a classifier may explain then
    graph = model.graph().eval()
    card = model_card(model, graph)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".half-") as half:
            file = Path(half, FILES[kind])
            if kind == "checkpoint":
                write_portable(path, file)
                exported: Any = load_trained(file, device="cpu", precision="32-true")
            else:
                exported = _write(graph, card, file, kind)
            try:
                found = [exported.predict(x) for x in images]
            except RuntimeError as error:  # torch's and onnxruntime's
                cause = str(error).strip().partition("\n")[0]
                raise DataError(f"{folder}: not exported, it does not run ({cause})") from None
            parity = compare(expected, found)
            if not parity.ok:
                raise DataError(f"{folder}: not exported, {parity}, more than is allowed")
            card["parity"] = {"images": parity.images, **parity.differences}
            card["files"] = {file.name: sha256(file)}
            _write_beside(Path(half), card, kind)
            for made in sorted(Path(half).iterdir()):
                os.replace(made, folder / made.name)
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    print(parity)
    print(f"exported {folder / FILES[kind]}")
    return folder


def _check_packages() -> None:
    """Now, and not after a minute of tracing; DataError."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(name)
        except ImportError:
            raise DataError(f"{name} is missing; pip install -e '.[export]'") from None


def _write(graph: Graph, card: dict[str, Any], file: Path, kind: str) -> ExportedModel:
    try:
        program = trace(graph)
    except Exception as error:  # whatever torch cannot trace
        cause = str(error).strip().partition("\n")[0]
        raise DataError(f"{card['network']}: cannot be exported ({cause})") from None
    if kind == "torch_export":
        torch.export.save(program, file, extra_files={"model_card": json.dumps(card)})
        return ExportedModel(_asks(torch.export.load(file)), card, file)
    onnx = _to_onnx(program, graph)
    onnx.model.metadata_props["model_card"] = json.dumps(card)
    onnx.save(file, external_data=False)
    return load_onnx(file)


def trace(graph: Graph) -> ExportedProgram:
    """The graph of any batch, height and width, but where the network's size is fixed."""
    with torch.no_grad():
        program = torch.export.export(
            graph,
            tuple(graph.inputs.values()),
            dynamic_shapes=graph.free_sides(),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    nodes = program.graph_module.graph
    for node in list(nodes.nodes):  # they refuse squares, for the example is none
        if node.target is torch.ops.aten._assert_scalar.default:
            nodes.erase_node(node)
    nodes.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def _to_onnx(program: ExportedProgram, graph: Graph) -> torch.onnx.ONNXProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own parts
        made = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=list(graph.inputs),
            output_names=graph.outputs,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            optimize=False,  # below
        )
    assert made is not None
    with suppress(Exception):  # it fails where a batch of free size is split, as for SSIM
        made.optimize()
    return made


def _asks(program: ExportedProgram) -> Any:
    module = program.module()

    def run(feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            return [y.numpy() for y in module(*(torch.from_numpy(x) for x in feeds.values()))]

    return run


def compare(expected: Sequence[Any], found: Sequence[Any]) -> Parity:
    """How far the results of an exported model are from those of its checkpoint."""
    pairs = list(zip(expected, found, strict=True))
    if hasattr(expected[0], "probabilities"):
        rows = [[np.array([*r.probabilities.values()]) for r in pair] for pair in pairs]
        furthest = max(float(np.abs(a - b).max()) for a, b in rows)
        same = float(np.mean([a.label == b.label for a, b in pairs]))
        ok = furthest <= PROBABILITY_TOLERANCE and same == 1
        values = {"largest difference in probability": furthest, "labels equal": same}
    elif hasattr(expected[0], "probability"):
        furthest = max(float(np.abs(a.probability - b.probability).max()) for a, b in pairs)
        dice = min(_dice(a.mask, b.mask) for a, b in pairs)
        ok = furthest <= PROBABILITY_TOLERANCE and dice >= LEAST_DICE
        values = {"largest difference in probability": furthest, "least Dice of masks": dice}
    else:
        shown = [[_pixels(r) for r in pair] for pair in pairs]
        mean = max(float(np.abs(a - b).mean()) for a, b in shown)
        largest = max(float(np.abs(a - b).max()) for a, b in shown)
        ok = mean <= GRAY_LEVELS
        values = {"mean difference in gray levels": mean, "largest": largest}
    return Parity(len(pairs), values, ok)


def _pixels(result: Any) -> np.ndarray:
    return np.array(getattr(result, "reconstruction", result.image)).astype(float)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum())) if a.any() or b.any() else 1.0


def _write_beside(folder: Path, card: dict[str, Any], kind: str) -> None:
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    name = "model.json" if kind == "onnx" else f"{FILES[kind]}.json"  # both may lie in one folder
    (folder / name).write_text(text, encoding="utf-8")
    if kind == "onnx":
        own = Path(__file__).parent
        shutil.copy(own / "infer_onnx.py", folder)
        shutil.copy(image_pixels.__file__, folder)
        for needed in MORE_INPUTS.keys() & card["inputs"].keys():
            shutil.copy(str(MORE_INPUTS[needed].__file__), folder)
