"""Data sets in memory, and batches of files that may be unreadable."""

import logging
import multiprocessing.util
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, Dataset

from common.errors import DataError
from common.read_ahead import read_ahead

log = logging.getLogger(__name__)

LONGEST_FOLDER = 60  # characters; a socket's path has 107, and multiprocessing adds some 40
LIMIT = 2 * 2**30  # bytes of decoded items in each process that reads
Collate = Callable[[list[Any]], Any]
Unreadable = tuple[str, str]  # name and reason, in place of an item whose file cannot be read


class CachedDataset(Dataset):
    """The items of a data set, each read once as long as all that is kept fits in `LIMIT` bytes.

    What no longer fits is read anew each time: a larger data set costs time, not memory. All items
    are read here once, so that a bad file stops the run before training. Whoever gets an item must
    not change its tensors.

    Args:
        dataset: what is read.
        repeats: how often it is gone through.
        device: where all items are kept if they fit, so that nothing is copied to it in a step.
    """

    def __init__(
        self, dataset: Any, repeats: int = 1, device: torch.device = torch.device("cpu")
    ) -> None:
        self.dataset, self.repeats = dataset, repeats
        self.items, size = list[Any](), 0
        for index in range(len(dataset)):
            item = dataset[index]
            size += sum(leaf.nbytes for leaf in tree_leaves(item) if isinstance(leaf, Tensor))
            if size <= LIMIT:
                self.items.append(item)
        self.in_memory = len(self.items) == len(dataset)
        if self.in_memory and device.type != "cpu":
            self.items = move_data_to_device(self.items, device)

    def __len__(self) -> int:
        return self.repeats * len(self.dataset)

    def name(self, index: int) -> str:
        return self.dataset.name(index % len(self.dataset))

    def __getitem__(self, index: int) -> Any:
        index %= len(self.dataset)
        return self.items[index] if index < len(self.items) else self.dataset[index]


class SafeDataset(Dataset):
    """A data set (with ``name(index)``) that returns `Unreadable` where it would raise DataError.

    An exception that leaves a worker process is wrapped in its traceback; an item is not.

    Args:
        dataset: whose items it gives.
        collate_fn: puts items into a batch.
    """

    def __init__(self, dataset: Any, collate_fn: Collate) -> None:
        self.dataset, self.collate_fn = dataset, collate_fn

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except DataError as error:
            return self.dataset.name(index), str(error)

    def collate(self, items: Sequence[Any]) -> tuple[Any, list[Unreadable]]:
        """The batch of what could be read, None if nothing could, and the `Unreadable` ones."""
        unreadable = [item for item in items if isinstance(item, tuple)]
        readable = [item for item in items if not isinstance(item, tuple)]
        return self.collate_fn(readable) if readable else None, unreadable


class ImageLoader(DataLoader):
    """Batches of a `SafeDataset`, collated by it.

    Args:
        skipped: a list that takes the images that cannot be read, ``(name, reason)``, which are
            then missing in the batches; a batch without any image is left out. None: the first
            raises DataError.
        kwargs: of `torch.utils.data.DataLoader`.
    """

    def __init__(self, *args: Any, skipped: list[Unreadable] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.skipped = skipped

    def __len__(self) -> int:
        # Lightning refuses 0, which a process has that gets none of a few samples.
        return max(1, super().__len__())

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        if self.num_workers:
            _shorten_temporary_folder()
        batches: Iterable[Any] = super().__iter__()
        if self.skipped is not None and not self.num_workers:
            batches = read_ahead(batches)
        try:
            for batch, unreadable in batches:
                for name, reason in unreadable:
                    if self.skipped is None:
                        raise DataError(reason)
                    if (name, reason) not in self.skipped:
                        log.warning("skipped: %s", reason)
                        self.skipped.append((name, reason))
                if isinstance(batch, dict):
                    # Labels and indices are kept, and would keep their shared memory open.
                    small = {
                        k: x for k, x in batch.items() if isinstance(x, Tensor) and x.dim() == 1
                    }
                    batch.update({name: x.clone() for name, x in small.items()})
                if batch is not None:
                    yield batch
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            if not re.search("DataLoader worker|shared memory|open files", reason):
                raise
            raise DataError(
                f"a process that reads images ended ({reason[:120]}); give --data.num_workers 0, "
                "or more shared memory (/dev/shm) and open files (ulimit -n)"
            ) from None


def _shorten_temporary_folder() -> None:
    """Let the sockets of worker processes lie in /tmp where their paths would be too long."""
    if os.name == "posix" and len(tempfile.gettempdir()) > LONGEST_FOLDER:
        given, tempfile.tempdir = tempfile.tempdir, "/tmp"
        multiprocessing.util.get_temp_dir()  # made once, and removed at the end
        tempfile.tempdir = given
