"""`load`: a trained model from a run folder, a checkpoint or an ONNX file."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from common.errors import DataError
from common.paths import expand
from experiment.checkpoints import Checkpoint, Checkpoints
from experiment.checkpoints.find import Source
from experiment.checkpoints.network import build_network, check_finite
from experiment.hardware import native_memory_format, native_precision
from experiment.tasks import TASKS
from inference.model import AUTOCAST, Model, Settings

if TYPE_CHECKING:
    from inference.onnx_model import ExportedModel

PRECISIONS = ("32-true", *AUTOCAST)


def load(
    source: Source,
    device: str | torch.device = "auto",
    precision: str | None = None,
    batch_size: int | None = None,
    trusted: Sequence[str] = (),
) -> "Model[Any] | ExportedModel":
    """A trained model, ready to predict.

    Args:
        source: a run folder, which stands for its best checkpoint, a ``.ckpt`` file, or the
            ``.onnx`` that ``cli.py export`` wrote, to which the arguments below do not apply. Of
            several runs or files, or a cross-validation's folder, the average answers.
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
    if isinstance(source, str | Path) and Path(source).suffix == ".onnx":
        from inference.onnx_model import load_onnx

        return load_onnx(expand(source))
    return load_trained(source, device, precision, batch_size, trusted)


def load_trained(source: Source, *settings: Any, **named: Any) -> Model[Any]:
    """`load` of checkpoints alone."""
    checkpoints = Checkpoints.open(source)
    models = [_load_member(member, *settings, **named) for member in checkpoints.members]
    lead = models[0]
    if len(models) > 1:
        from lit_models.postprocessing.ensemble import Ensemble, attach_ensemble

        networks = [model.network for model in models]
        average = average_of(lead.trained)
        attach_ensemble(lead, Ensemble(networks, average, checkpoints.temperatures()).eval())
    return lead


def model_class(trained: Checkpoint) -> type[Model[Any]]:
    """The class of `inference` for a checkpoint.

    Raises:
        DataError: no task has a model for its LightningModule, see `experiment.tasks`.
    """
    models = {name: path for task in TASKS.values() for name, path in task.models.items()}
    if trained.method not in models:
        kind = f"is of {trained.method}" if trained.method else "does not say how it is built"
        raise DataError(f"{trained.path}: {kind}; load() knows {', '.join(models)}")
    return import_model(models[trained.method])


def import_model(class_path: str) -> type[Model[Any]]:
    """The class that `experiment.tasks` names; a task imports only its own."""
    module, _, name = class_path.rpartition(".")
    found: type[Model[Any]] = getattr(import_module(module), name)
    return found


def average_of(trained: Checkpoint) -> Callable[[Tensor], Tensor]:
    """Average of the outputs of several networks like that of a checkpoint.

    Raises:
        DataError: outputs of its method have none.
    """
    average: Callable[[Tensor], Tensor] | None = model_class(trained).average
    if average is None:
        raise DataError(
            f"{trained.path}: outputs of several {trained.method}s have no average; give one "
            "checkpoint"
        )
    return average


def _load_member(
    trained: Checkpoint,
    device: str | torch.device = "auto",
    precision: str | None = None,
    batch_size: int | None = None,
    trusted: Sequence[str] = (),
) -> Model[Any]:
    kind = model_class(trained)
    settings = _settings(trained, device, precision, batch_size)
    weights = _below(trained.weights, f"{kind.network_name}.")
    check_finite(trained.path, weights)
    try:
        network = build_network(
            trained.model[kind.network_name],
            weights,
            *_arguments(trained),
            trusted=trusted,
        ).to(settings.device)
        if native_memory_format(settings.device) == torch.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return kind(network, trained, settings)
    except KeyError as error:
        raise DataError(
            f"{trained.path}: does not say {error.args[0]!r}; give one that `fit` wrote"
        ) from None
    except DataError as error:
        raise DataError(f"{trained.path}: {error}") from None
    except (TypeError, ValueError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(
            f"{trained.path}: its settings cannot be ({cause}); give one that `fit` wrote"
        ) from None


def _arguments(trained: Checkpoint) -> list[Any]:
    """What the LightningModule gives its network beside the config."""
    if trained.method == "DefectClassifier":
        return [len(trained.model["class_names"])]
    return list(trained.model.get("channels", (2, 1))) if trained.method == "BlotGAN" else []


def _below(weights: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _settings(
    trained: Checkpoint,
    device: str | torch.device,
    precision: str | None,
    batch_size: int | None,
) -> Settings:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"device {str(device)!r}: not to be had here ({cause}); give cpu") from None
    if precision is None:
        native = {native_precision(device.type), "16-mixed" if device.type == "cuda" else None}
        precision = trained.precision if trained.precision in native else "32-true"
    if precision not in PRECISIONS:
        raise DataError(f"precision {precision!r}: unknown; give one of {', '.join(PRECISIONS)}")
    if batch_size is None:
        of_training = trained.method == "DefectClassifier" and trained.data.get("batch_size")
        batch_size = int(trained.data.get("eval_batch_size") or of_training or 1)
    if batch_size < 1:
        raise DataError(f"batch_size {batch_size}: give 1 or more")
    return Settings(device, precision, batch_size)
