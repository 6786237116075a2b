"""`load`: a trained model from a run folder, a checkpoint or an exported file."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import DataError
from common.paths import expand
from experiment.checkpoints import Checkpoint, Checkpoints, find_checkpoints
from experiment.checkpoints.find import Source
from experiment.checkpoints.network import build_network, check_finite
from experiment.hardware import native_memory_format, native_precision
from experiment.run_folder import RunSettings
from experiment.tasks import TASKS, task_of
from inference.infer_onnx import ask, session
from inference.model import AUTOCAST, Item, Model, Values
from lit_models.postprocessing.ensemble import Ensemble, attach_ensemble


class ExportedModel(Model[Any]):
    """A model that `inference.export` wrote, run by onnxruntime or openvino; see `load`.

    Args:
        graph: computes it: arrays by the names of the inputs to the list of its outputs.
        card: what is in ``model.json``.
        path: of the file.

    Raises:
        DataError: of a task that is not declared here.
    """

    def __init__(self, graph: Any, card: dict[str, Any], path: Path) -> None:
        super().__init__(nn.Identity(), Checkpoint(path, "", {}, {}), torch.device("cpu"))
        self.graph, self.settings = graph, card
        # The models of a task show alike.
        self.kind = model_class(next(iter(task_of(card["task"]).models), card["task"]), path)
        self.mode, self.templates = card["mode"], 2 if "templates" in card else 0

    def card(self) -> dict[str, Any]:
        return self.settings

    def result(self, card: Values, item: Item, outputs: Values) -> Any:  # type: ignore[override]
        return self.kind.result(card, item, outputs)

    def prepare(self, pixels: Tensor) -> Item:
        planes = [*pixels.numpy()]
        return {"images": [np.stack(planes, axis=-1)] if self.mode == "RGB" else planes}

    def run(self, items: Sequence[Item]) -> Iterable[Values]:
        for item in items:
            yield ask(self.graph, self.settings, item["images"])

    def _run(self, items: Sequence[Item]) -> list[Any]:
        try:
            return super()._run(items)
        except Exception as error:  # of a card, a model or a runtime that is not as it should be
            cause = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            name = items[0]["name"]
            raise DataError(f"{name}: the exported model does not run ({cause})") from None


def load(
    source: Source,
    device: str | torch.device = "auto",
    precision: str | None = None,
    batch_size: int | None = None,
    trusted: Sequence[str] = (),
) -> Model[Any]:
    """A trained model, ready to predict.

    Args:
        source: a run folder, which stands for its best checkpoint, a ``.ckpt`` file, a folder of
            ``export --format hub`` or ``hf://user/name``; or the ``.onnx`` or ``.xml`` that
            ``cli.py export`` wrote, to which the arguments below do not apply. Of several runs or
            files, or a cross-validation's folder, the average answers.
        device: "auto" takes a CUDA GPU if there is one, else the CPU.
        precision: "32-true", "bf16-mixed" or "16-mixed"; None takes that of the training where the
            device computes in it natively, else "32-true".
        batch_size: images predicted at once; None takes that of the training's evaluation.
        trusted: packages beside this project's and torch's whose networks may be built. Their code
            runs, so name only what you would run yourself.

    Raises:
        DataError: no such run or checkpoint, one that cannot be read, of another method, or that
            names a class of a package that is not trusted; a device that is not there; members
            of an ensemble that differ, or are of a method whose outputs have no average.
    """
    if isinstance(source, str | Path) and Path(source).suffix in (".onnx", ".xml"):
        return _load_exported(expand(source))
    checkpoints = Checkpoints.open(source)
    how = _device(device), precision, batch_size
    models = [_load(one, trusted, *how) for one in checkpoints.members]
    lead = models[0]
    if len(models) > 1:
        networks, average = [model.network for model in models], average_of(lead.trained)
        attach_ensemble(lead, Ensemble(networks, average, checkpoints.temperatures()).eval())
    return lead


def model_class(method: str, path: Path) -> type[Model[Any]]:
    """The class of `inference` for a LightningModule; a task imports only its own.

    Args:
        method: name of the LightningModule, see `experiment.tasks`.
        path: of the file that names it.

    Raises:
        DataError: no task has a model for it.
    """
    models = {name: kind for task in TASKS.values() for name, kind in task.models.items()}
    if method not in models:
        kind = f"is of {method}" if method else "does not say how it is built"
        raise DataError(f"{path}: {kind}; load() knows {', '.join(models)}")
    module, _, name = models[method].rpartition(".")
    found: type[Model[Any]] = getattr(import_module(module), name)
    return found


def average_of(trained: Checkpoint) -> Callable[[Tensor], Tensor]:
    """Average of the outputs of several such networks; DataError where they have none."""
    average: Any = model_class(trained.method, trained.path).average
    if average is None:
        raise DataError(f"{trained.path}: outputs of {trained.method}s have no average; give one")
    return average  # type: ignore[no-any-return]


def _load(
    trained: Checkpoint,
    trusted: Sequence[str],
    device: torch.device,
    precision: str | None,
    batch_size: int | None,
) -> Model[Any]:
    if precision is None:
        native = {native_precision(device.type), "16-mixed" if device.type == "cuda" else None}
        precision = trained.precision if trained.precision in native else "32-true"
    if precision not in (known := ("32-true", *AUTOCAST)):
        raise DataError(f"precision {precision!r}: unknown; give one of {', '.join(known)}")
    if batch_size is None:
        of_training = trained.method == "DefectClassifier" and trained.data.get("batch_size")
        batch_size = int(trained.data.get("eval_batch_size") or of_training or 1)
    if batch_size < 1:
        raise DataError(f"batch_size {batch_size}: give 1 or more")
    kind = model_class(trained.method, trained.path)
    prefix = f"{kind.network_name}."
    found = {name: value for name, value in trained.weights.items() if name.startswith(prefix)}
    weights = {name.removeprefix(prefix): value for name, value in found.items()}
    check_finite(trained.path, weights)
    arguments: list[Any] = []  # what the LightningModule gives its network beside the config
    try:
        if trained.method == "DefectClassifier":
            arguments = [len(trained.model["class_names"])]
        elif trained.method == "BlotGAN":
            arguments = [*trained.model.get("channels", (2, 1))]
        part = trained.model[kind.network_name]
        network: Any = build_network(part, weights, *arguments, trusted=trusted)
        network = network.to(device, memory_format=native_memory_format(device))
        return kind(network, trained, device, precision, batch_size)
    except DataError as error:
        raise DataError(f"{trained.path}: {error}") from None
    except (LookupError, TypeError, ValueError) as error:
        cause = " ".join(str(error).split())
        raise DataError(f"{trained.path}: its settings are missing or wrong ({cause})") from None


def _load_exported(path: Path) -> Model[Any]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; give one that `cli.py export` wrote")
    try:
        graph, card = session(path)
        return ExportedModel(graph, card, path)
    except ImportError as error:
        extra = "openvino" if path.suffix == ".xml" else "export"
        raise DataError(f"{path}: {error}; pip install -e '.[{extra}]'") from None
    except Exception as error:  # whatever it meets in a file that is not its own
        cause = str(error).strip().partition("\n")[0]
        raise DataError(f"{path}: cannot be loaded ({cause}); export it again") from None


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"device {str(device)!r}: not to be had here ({cause}); give cpu") from None


def add_checkpoint_options(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add ``--ckpt_path`` and ``--config`` of export and demo."""
    path = "best or last, of the newest run of --config; or a run folder or checkpoint file"
    parser.add_argument("--ckpt_path", required=default is None, default=default, help=path)
    parser.add_argument("--config", type=Path, help="whose runs best and last are looked for in")


def chosen_checkpoint(options: argparse.Namespace) -> Path:
    """The run folder or checkpoint that the options stand for.

    Raises:
        DataError: best or last without a config, a config that cannot be read, no such run.
    """
    if options.ckpt_path not in ("best", "last"):
        return expand(options.ckpt_path)
    if options.config is None:
        raise DataError(f"--ckpt_path {options.ckpt_path}: give its --config, or a run folder")
    runs = RunSettings.of_configs([str(options.config)]).existing
    return find_checkpoints(options.ckpt_path, runs=runs)[0]
