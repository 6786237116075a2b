"""Loading batches where a file may be unreadable and a process may have nothing to do."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, Dataset

from common.errors import DataError

log = logging.getLogger(__name__)


class Unreadable(NamedTuple):
    """Takes the place of an item whose file cannot be read."""

    name: str
    reason: str


class SafeDataset(Dataset):
    """A data set (with ``name(index)``) that returns `Unreadable` where it would raise DataError.

    An exception that leaves a worker process is wrapped in its traceback; an item is not.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except DataError as error:
            return Unreadable(self.dataset.name(index), str(error))


class CollateReadable:
    """Collates what could be read: the batch, None if nothing could, and the `Unreadable` ones."""

    def __init__(self, collate_fn: Callable[[list[Any]], Any]) -> None:
        self.collate_fn = collate_fn

    def __call__(self, items: Sequence[Any]) -> tuple[Any, list[Unreadable]]:
        unreadable = [item for item in items if isinstance(item, Unreadable)]
        readable = [item for item in items if not isinstance(item, Unreadable)]
        return self.collate_fn(readable) if readable else None, unreadable


class ImageLoader(DataLoader):
    """Batches of an `SafeDataset` data set, collated by `CollateReadable`.

    Args:
        skipped: a list that takes the images that cannot be read, ``(name, reason)``, which are
            then missing in the batches; a batch without any image is left out. None: the first
            raises DataError.
        kwargs: of `torch.utils.data.DataLoader`.
    """

    def __init__(
        self, *args: Any, skipped: list[tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.skipped = skipped

    def __len__(self) -> int:
        # Lightning refuses 0, which a process has that gets none of a few samples.
        return max(1, super().__len__())

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch, unreadable in super().__iter__():
            for name, reason in unreadable:
                if self.skipped is None:
                    raise DataError(reason)
                log.warning("skipped: %s", reason)
                self.skipped.append((name, reason))
            if batch is not None:
                yield batch
