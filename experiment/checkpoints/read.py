"""Reading checkpoints, and checks of whether they can be used."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

from common.errors import DataError
from common.limits import CHECKPOINT_PICKLE_BYTES, CHECKPOINT_VALUES
from experiment.run_json import read_run_json

ADVICE = "give a checkpoint of a run"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of Lightning.

    Attributes:
        path: the file.
        method: name of the LightningModule, such as "DefectClassifier"; "" if it does not say.
        model: hyper-parameters of the module, classes as ``class_path`` and ``init_args``.
        data: those of the data module it was trained with.
        data_class: class path of that data module; "" if it does not say.
        weights: state dict of the module, mapped from the file.
        callbacks: states of callbacks by name.
        content: everything in the file.
    """

    path: Path
    method: str
    model: dict[str, Any]
    data: dict[str, Any]
    data_class: str = ""
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
    callbacks: dict[str, Any] = field(default_factory=dict, repr=False)
    content: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def trained_on_sample(self) -> bool:
        """Whether it was trained on the built-in synthetic sample."""
        return self.data.get("data_dir") is None

    @property
    def precision(self) -> str:
        """Precision of the training in Lightning's terms, kept by ``ConvolutionLayout``."""
        return str(self.callbacks.get("ConvolutionLayout", {}).get("precision", "32-true"))

    @property
    def finished_epochs(self) -> int:
        """Epochs of training that it has seen to their end."""
        return int(self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint without running code from it; tensors are mapped from the file.

    Raises:
        DataError: the file is missing, damaged, larger in memory than on disk, contains more than
            tensors and plain values, or is not a checkpoint of Lightning.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint; give a run, a file, last or best")
    try:
        _check_archive(path)
        mapped = sys.platform != "win32"  # where a mapped file could not be replaced
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever torch meets in a file that is not its own
        cause = (
            "it contains objects that would run code" if "nsupported" in str(error) else "damaged"
        )
        if isinstance(error, OSError | MemoryError):
            cause = getattr(error, "strerror", None) or "not enough memory"
        raise DataError(f"{path}: not a checkpoint that can be read ({cause}); {ADVICE}") from None
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        kind = "bare weights" if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path}: not a checkpoint of Lightning ({kind}); {ADVICE}")
    if "state_dict" not in content:
        raise DataError(f"{path}: has no weights; {ADVICE}")
    parts = {}
    for part in ("state_dict", "hyper_parameters", "datamodule_hyper_parameters", "callbacks"):
        parts[part] = content.get(part) or {}
        if not isinstance(parts[part], dict) or not all(isinstance(k, str) for k in parts[part]):
            raise DataError(f"{path}: damaged ({part}); {ADVICE}")
    weights, model, data, callbacks = parts.values()
    _check_size(path, weights, (model, data, callbacks))
    model, data = dict(model), dict(data)
    method = str(model.pop("_class_path", "")).rpartition(".")[2]
    data_class = str(data.pop("_class_path", ""))
    model, data = ({k: v for k, v in d.items() if k[:1] != "_"} for d in (model, data))
    return Checkpoint(path, method, model, data, data_class, weights, callbacks, content)


def _check_archive(path: Path) -> None:
    """Bound what unpacking the file takes; torch itself writes archives uncompressed."""
    with ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != ZIP_STORED for entry in entries):
            raise BadZipFile("compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise BadZipFile("entries overlap")
        pickled = sum(e.file_size for e in entries if e.filename.endswith(".pkl"))
        if pickled > CHECKPOINT_PICKLE_BYTES:
            raise BadZipFile("a structure of this size is not a model's")
        if archive.testzip() is not None:  # torch does not look
            raise BadZipFile("a checksum does not agree")


def _check_size(path: Path, weights: Mapping[str, Any], settings: Sequence[Any]) -> None:
    """Refuse tensors larger than what is stored, and lists that contain one list many times."""
    if not all(torch.is_tensor(weight) for weight in weights.values()):
        raise DataError(f"{path}: damaged (weights that are not tensors); {ADVICE}")
    needed = sum(weight.nbytes for weight in weights.values())
    count, rest = 0, list(settings)
    while rest and count <= CHECKPOINT_VALUES:
        value = rest.pop()
        count += 1
        if isinstance(value, dict | list | tuple | set):
            rest += value.values() if isinstance(value, dict) else value
    # Weights that two parts share are stored once and listed twice.
    if count > CHECKPOINT_VALUES or needed > 4 * path.stat().st_size:
        raise DataError(f"{path}: damaged (more in memory than on disk); {ADVICE}")


def check_weights_fit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse weights of another network than the model has.

    Args:
        weights: state dict of the checkpoint.
        expected: state dict of the model.

    Raises:
        DataError: names or shapes differ; names the first that does, but not the file.
    """
    stored, own = (
        {name: tuple(weight.shape) for name, weight in state.items()}
        for state in (weights, expected)
    )
    mismatched_keys = [name for name in {**own, **stored} if own.get(name) != stored.get(name)]
    if mismatched_keys:
        first = mismatched_keys[0]
        raise DataError(
            f"{len(mismatched_keys)} of its weights are not those of this model: {first} is "
            f"{stored.get(first, 'nothing')}, not {own.get(first, 'nothing')}; give the config it "
            "was trained with"
        )


def check_finite(path: Any, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are NaN or infinite.

    Args:
        path: path of the checkpoint, for the message.
        weights: state dict.

    Raises:
        DataError: names the first such weight.
    """
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            raise DataError(
                f"{path}: {name} is not finite, so its training went wrong; give a checkpoint of "
                "an earlier epoch, or train again with a lower learning rate"
            )


def check_not_finished(checkpoint: Checkpoint, max_epochs: int | None) -> None:
    """Refuse to resume a run without an epoch left to train.

    A run that was killed after its last epoch may go on: its figures and report are missing.

    Args:
        checkpoint: the checkpoint to resume from.
        max_epochs: the trainer's; None and -1 mean no limit.

    Raises:
        DataError: all epochs are done, or the state of the training is not in the file.
    """
    path = checkpoint.path
    if "loops" not in checkpoint.content or "optimizer_states" not in checkpoint.content:
        raise DataError(f"{path}: weights only; test and predict take it, fit cannot resume it")
    try:
        done = checkpoint.finished_epochs
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: damaged (state of the training); {ADVICE}") from None
    run = path.resolve().parent.parent
    record = read_run_json(run / "run.json")
    reported = record.get("status") == "finished" and (run / "report.html").is_file()
    if done == max_epochs and record and not reported:
        return
    if max_epochs is not None and 0 <= max_epochs <= done:
        raise DataError(
            f"{path}: has trained its {done} epochs; raise trainer.max_epochs (now {max_epochs}) "
            "to train on"
        )
