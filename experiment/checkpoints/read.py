"""Reading checkpoints: never code, and never larger in memory than on disk."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

from common.errors import DataError
from common.limits import CHECKPOINT_PICKLE_BYTES, CHECKPOINT_VALUES
from experiment.run_json import read_record

ADVICE = "give a checkpoint of a run"
HUB_WEIGHTS, HUB_SETTINGS = "model.safetensors", "config.json"  # as the Hugging Face hub has models
PARTS = ("state_dict", "hyper_parameters", "datamodule_hyper_parameters", "callbacks")


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
        if path.suffix == ".safetensors":
            content: Any = _read_hub_folder(path)
        else:
            _check_archive(path)
            mapped = sys.platform != "win32"  # where a mapped file could not be replaced
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # whatever torch meets in a file that is not its own
        code = "nsupported" in str(error)
        cause = "it contains objects that would run code" if code else "damaged"
        if isinstance(error, OSError | MemoryError):
            cause = getattr(error, "strerror", None) or "not enough memory"
        raise DataError(f"{path}: not a checkpoint that can be read ({cause}); {ADVICE}") from None
    if not isinstance(content, dict) or not {"pytorch-lightning_version", PARTS[0]} <= {*content}:
        raise DataError(f"{path}: not a checkpoint of Lightning; {ADVICE}")
    weights, *settings = (content.get(name) or {} for name in PARTS)
    for part in (weights, *settings):
        if not isinstance(part, dict) or not all(isinstance(key, str) for key in part):
            raise DataError(f"{path}: damaged (not names and values); {ADVICE}")
    if not all(map(torch.is_tensor, weights.values())):
        raise DataError(f"{path}: damaged (weights that are not tensors); {ADVICE}")
    # Weights that two parts share are stored once and listed twice.
    larger = sum(weight.nbytes for weight in weights.values()) > 4 * path.stat().st_size
    if larger or _is_large(settings):
        raise DataError(f"{path}: damaged (more in memory than on disk); {ADVICE}")
    model, data = ({k: v for k, v in part.items() if k[:1] != "_"} for part in settings[:2])
    classes = [str(part.get("_class_path", "")) for part in settings[:2]]
    method = classes[0].rpartition(".")[2]
    return Checkpoint(path, method, model, data, classes[1], weights, settings[2], content)


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


def _is_large(settings: list[Any]) -> bool:
    """Whether there are too many values, each counted as often as it is referred to."""
    count, rest = 0, [*settings]
    while rest and count <= CHECKPOINT_VALUES:
        value = rest.pop()
        count += 1
        if isinstance(value, dict | list | tuple | set):
            rest += value.values() if isinstance(value, dict) else value
    return count > CHECKPOINT_VALUES


def _read_hub_folder(weights: Path) -> dict[str, Any]:
    """What `checkpoint_io.write_portable` wrote; any exception for files that are not of it."""
    from safetensors.torch import load_file

    settings = weights.with_name(HUB_SETTINGS)
    if settings.stat().st_size > CHECKPOINT_PICKLE_BYTES:
        raise ValueError("a structure of this size is not a model's")
    content: dict[str, Any] = json.loads(settings.read_text(encoding="utf-8"))
    for name, tensor in load_file(weights).items():
        if name.startswith("/callbacks/"):
            _, _, callback, value = name.split("/")
            content["callbacks"][callback][value] = tensor
        else:
            content["state_dict"][name] = tensor
    return content


def check_not_finished(checkpoint: Checkpoint, max_epochs: int | None) -> None:
    """Refuse to resume a run without an epoch left to train, or weights alone.

    A run that was killed after its last epoch may go on: its figures and report are missing.

    Args:
        checkpoint: the checkpoint to resume from.
        max_epochs: the trainer's; None and -1 mean no limit.

    Raises:
        DataError: all epochs are done, or the state of the training is not in the file.
    """
    path, content = checkpoint.path, checkpoint.content
    try:
        done = int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
        content["optimizer_states"]
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: weights only; --model.init_from begins with them") from None
    run = path.resolve().parent.parent
    record = read_record(run / "run.json")
    reported = record.get("status") == "finished" and (run / "report.html").is_file()
    if done == max_epochs and record and not reported:
        return
    if max_epochs is not None and 0 <= max_epochs <= done:
        now = f"now {max_epochs}"
        raise DataError(f"{path}: has trained its {done} epochs; raise trainer.max_epochs ({now})")
