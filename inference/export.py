"""``python cli.py export``: a trained model as one file that runs without this project.

Beside it lie its card, see `model_card`, and for ONNX ``infer_onnx.py``, which predicts files with
numpy, pillow and onnxruntime alone, vessels with scipy too. ``--format checkpoint`` is for use with
this project: weights and settings without the rest of a training. The export is refused where it
does not predict what the checkpoint predicts (in float32) on images of the run's own data.
"""

import argparse
import io
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim

from common import image_reader
from common.errors import DataError, UsageError
from common.paths import expand
from experiment.atomic import writing
from experiment.checkpoint_io import write_portable
from experiment.checkpoints import find_checkpoints
from experiment.run_folder import prediction_parent
from inference.infer_onnx import MODULES, inputs_of
from inference.loading import ExportedModel, add_checkpoint_options, chosen_checkpoint, load
from inference.model import SIDES, Model
from inference.model_card import model_card, readme, sha256
from inference.openvino_export import CALIBRATED, ValidationImages, write_openvino
from inference.results import DefectResult, VesselResult

FILES = {
    "onnx": "model.onnx",
    "openvino": "model.xml",
    "checkpoint": "model.ckpt",
    "hub": "model.safetensors",
}
RUNNERS = {"onnx": "infer_onnx.py", "openvino": "infer_openvino.py"}
PACKAGES = {"onnx": ("onnxscript", "onnxruntime"), "openvino": ("nncf",), "hub": ("safetensors",)}
CHECKED = 8  # images
# Greatest differences allowed. A resized pixel may be off by one gray level, see `model`.
TOLERANCES = {"largest difference in probability": 0.01, "mean difference in gray levels": 0.5}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``export``."""
    add_checkpoint_options(parser)
    parser.add_argument("--format", choices=list(FILES), default="onnx")
    parser.add_argument("--int8", action="store_true", help="8-bit integers, of --format openvino")
    parser.add_argument("--output", type=Path, help="folder; export/ in the run's by default")
    parser.add_argument("--data_dir", type=Path, help="images to check on, if they were moved")


def run(options: argparse.Namespace) -> Path:
    """Export what the options ask for, and return the folder; see `export`."""
    path = chosen_checkpoint(options)
    return export(path, options.format, options.output, options.int8, options.data_dir)


def export(
    source: Path,
    kind: str = "onnx",
    output: Path | None = None,
    int8: bool = False,
    data_dir: Path | None = None,
) -> Path:
    """Write a trained model as the file of `FILES`, with its card.

    Args:
        source: run folder or checkpoint.
        kind: "onnx" and "openvino", which have a runner beside them, "checkpoint", or "hub", a
            folder as ``huggingface_hub`` uploads it.
        output: folder; ``export/`` in the run's folder by default. Files are written there, and
            those of an earlier export replaced, when they are checked.
        int8: quantize the weights and activations of "openvino" on validation images.
        data_dir: images to check on, in a layout of the training's; None: those of the training.

    Raises:
        DataError: no such checkpoint, a package is missing, a network that cannot be exported, a
            difference above the tolerance, or 8 bits that score below the 95 % interval of float.
    """
    if int8 and kind != "openvino":
        raise UsageError(f"--int8: not of --format {kind}; give --format openvino")
    extra = "export" if kind == "onnx" else kind
    for package in PACKAGES.get(kind, ()):
        if find_spec(package) is None:  # now, and not after a minute of tracing
            raise DataError(f"{package} is missing; pip install -e '.[{extra}]'")
    path, *others = find_checkpoints(source)
    if others:
        raise DataError(f"{source}: {len(others) + 1} checkpoints; give the one to export")
    folder = expand(output or prediction_parent(path) / "export")
    model: Any = load(path, device="cpu", precision="32-true")
    validation = ValidationImages(model.trained, data_dir) if int8 else None
    images = model.examples(CHECKED, data_dir)
    expected = [model.predict(x) for x in images]  # before all else: a classifier may explain then
    card = model_card(model) | ({"precision": "int8"} if int8 else {})
    with writing(folder), tempfile.TemporaryDirectory() as name:
        made, file = Path(name), Path(name, FILES[kind])
        if kind in ("checkpoint", "hub"):
            write_portable(path, file)
        else:
            _write_graph(model, card, file, validation)
        exported: Any = load(file, device="cpu", precision="32-true")
        card["parity"] = compare(expected, [exported.predict(x) for x in images])
        parity = ", ".join(f"{name} {value:.3g}" for name, value in card["parity"].items())
        parity = f"parity with the checkpoint on {len(images)} images: {parity}"
        if validation is not None:
            parity = f"{parity}\n{validation.check(model, exported)}"
        elif not all(value <= TOLERANCES[name] for name, value in card["parity"].items()):
            raise DataError(f"{folder}: not exported, {parity}, more than is allowed")
        card["parity"]["images"] = len(images)
        card["files"] = {one.name: sha256(one) for one in sorted(made.iterdir())}
        _write_beside(made, card, kind)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    print(parity)
    print(f"exported {folder / FILES[kind]}")
    return folder


def _write_graph(
    model: Model[Any], card: dict[str, Any], file: Path, validation: ValidationImages | None
) -> None:
    """Write the graph of a model, and what its inputs and outputs are into its card.

    Batch, height and width of the examples may have any length; other axes are channels.
    """
    inputs = model.graph_inputs()
    outputs = [*model(*inputs.values())]
    free = [
        {axis: Dim.AUTO for axis, side in enumerate(x.shape) if axis == 0 or side >= min(SIDES)}
        for x in inputs.values()
    ]
    model.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    logging.getLogger("torch.fx.experimental.symbolic_shapes").setLevel(logging.ERROR)
    try:
        with torch.no_grad(), redirect_stderr(io.StringIO()):  # a failure prints its graph
            program = torch.export.export(
                model.eval(),
                tuple(inputs.values()),
                dynamic_shapes=free,
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
        program = program.run_decompositions({torch.ops.aten.split.Tensor: _parts})
    except Exception as error:  # whatever torch cannot trace
        cause = str(error).strip().partition("\n")[0]
        raise DataError(f"{card['network']}: cannot be exported ({cause})") from None
    with warnings.catch_warnings(action="ignore"):  # of the exporter's own parts
        onnx = torch.onnx.export(
            program, dynamo=True, input_names=list(inputs), output_names=outputs, verbose=False
        )
    assert onnx is not None
    described = {x.name: _in_words(x) for x in onnx.model.graph.inputs}
    card |= {"inputs": described, "outputs": outputs}
    onnx.model.metadata_props["model_card"] = json.dumps(card)
    if file.suffix == ".onnx":
        onnx.save(file, external_data=False)
        return
    reader, paths = ExportedModel(None, card, file), validation.paths if validation else []
    given = (inputs_of(card, reader.read(path, "")["images"]) for path in paths[:CALIBRATED])
    feeds = [{name: values[None] for name, values in one.items()} for one in given]
    write_openvino(onnx.model_proto.SerializeToString(), card, file, feeds)


def _parts(x: torch.Tensor, size: int, dim: int = 0) -> list[torch.Tensor]:
    """``split`` as slices: with a free size, as in SSIM, OpenVINO crashes as it reads it."""
    starts = [i * size for i in range(int(-(-x.shape[dim] // size)))]
    return [torch.ops.aten.slice(x, dim, start, start + size) for start in starts]


def _in_words(x: Any) -> str:
    """Type and shape of an input of the graph, free sides as letters."""
    letters = iter("NHW")
    sides = [str(side) if isinstance(side, int) else next(letters) for side in x.shape]
    return f"{x.dtype.name.lower()} ({', '.join(sides)})"


def compare(expected: Sequence[Any], found: Sequence[Any]) -> dict[str, float]:
    """How far the results of an exported model are from those of its checkpoint.

    Returns:
        The greatest differences over the images, by the names in `TOLERANCES`.
    """
    gaps = [np.abs(_output(a) - _output(b)) for a, b in zip(expected, found, strict=True)]
    if isinstance(expected[0], DefectResult | VesselResult):
        return {"largest difference in probability": max(float(gap.max()) for gap in gaps)}
    return {"mean difference in gray levels": max(float(gap.mean()) for gap in gaps)}


def _output(result: Any) -> np.ndarray:
    if isinstance(result, DefectResult):
        return np.array([*result.probabilities.values()])
    if isinstance(result, VesselResult):
        return result.probability
    return np.array(getattr(result, "reconstruction", result.image), float)


def _write_beside(folder: Path, card: dict[str, Any], kind: str) -> None:
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    name = "model.json" if kind == "onnx" else f"{FILES[kind]}.json"  # both may lie in one folder
    if kind == "hub":
        name, text = "README.md", readme(card)
    (folder / name).write_text(text, encoding="utf-8")
    if kind in RUNNERS:
        shutil.copy(Path(__file__).with_name("infer_onnx.py"), folder / RUNNERS[kind])
        shutil.copy(image_reader.__file__, folder)
        for name in MODULES.keys() & card["inputs"].keys():
            shutil.copy(str(import_module(MODULES[name]).__file__), folder)
