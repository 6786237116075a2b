"""Western blots with their two templates, in the layout of the course set.

<data_dir>/wb_dataset/bg_0001.png                 the blot
<data_dir>/wb_template/BandMask_bg_0001.png       template 1: where the bands are
<data_dir>/wb_template2/BasePattern_bg_0001.png   template 2: the bands straightened to rectangles
<data_dir>/groups.csv                             ID,membrane   optional
"""

import csv
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from datamodules.blots_sample import draw_sample
from datamodules.errors import DataError
from datamodules.images import list_images, read_image
from datamodules.kept import Kept
from datamodules.sample_cache import cached_sample
from datamodules.samplers import in_order, shuffled

log = logging.getLogger(__name__)


class Triple(NamedTuple):
    """The files of one blot; ``target`` is None where a blot is yet to be made."""

    stem: str
    template1: Path
    template2: Path
    target: Path | None


def list_members(root: Path, pattern: str) -> dict[str, Path]:
    """Images of ``root`` by stem, for a pattern ``folder/prefix`` whose prefix may be empty.

    Raises:
        DataError: no such folder, a name without the prefix, two files with one stem.
    """
    folder, _, prefix = pattern.rpartition("/")
    members: dict[str, Path] = {}
    for path in list_images(root / folder):
        if not path.name.startswith(prefix) or path.stem == prefix:
            raise DataError(f"{path}: the name must begin with {prefix!r}; rename or remove it")
        stem = path.stem.removeprefix(prefix)
        if stem in members:
            raise DataError(f"{path}: {members[stem].name} has the same stem; remove one of them")
        members[stem] = path
    return members


def find_triples(root: Path, template1: str, template2: str, target: str | None) -> list[Triple]:
    """Files matched by stem, sorted by it.

    Raises:
        DataError: a file whose partner is missing, and what ``list_members`` raises.
    """
    patterns = [pattern for pattern in (target, template1, template2) if pattern is not None]
    roles = [list_members(root, pattern) for pattern in patterns]
    for members in roles:
        for other, pattern in zip(roles, patterns, strict=True):
            alone = sorted(members.keys() - other.keys())
            if alone:
                folder, _, prefix = pattern.rpartition("/")
                raise DataError(
                    f"{members[alone[0]]}: no {prefix}{alone[0]}.* in {root / folder} "
                    f"({len(alone)} such files); add the partners or remove the files"
                )
    *targets, first, second = roles
    return [
        Triple(stem, first[stem], second[stem], targets[0][stem] if targets else None)
        for stem in sorted(first)
    ]


def read_groups(path: Path, stems: list[str]) -> list[str]:
    """Membrane of each stem, from a CSV with columns ``ID,membrane``; extra IDs are ignored.

    Raises:
        DataError: a column is missing, or a stem has no membrane.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"ID", "membrane"} - set(reader.fieldnames or [])
        if missing:
            raise DataError(f"{path}: no column {', '.join(sorted(missing))}; it needs ID,membrane")
        groups = {(row["ID"] or "").strip(): (row["membrane"] or "").strip() for row in reader}
    without = [stem for stem in stems if not groups.get(stem)]
    if without:
        raise DataError(f"{path}: no membrane for {without[0]} ({len(without)} such IDs); add them")
    return [groups[stem] for stem in stems]


def assign_folds(groups: list[str], folds: int, seed: int) -> np.ndarray:
    """Fold ``(N,)`` of each sample: groups stay whole, folds get about equal numbers of samples.

    The largest groups go first, each into the emptiest fold; ``seed`` orders groups of one size.
    """
    sizes = Counter(groups)
    names = np.random.default_rng(seed).permutation(sorted(sizes))
    filled = np.zeros(folds, int)
    fold_of = {}
    for name in sorted(names, key=lambda name: -sizes[name]):
        fold_of[name] = filled.argmin()
        filled[fold_of[name]] += sizes[name]
    return np.array([fold_of[group] for group in groups])


class BlotTriples(Dataset):
    """Blots with their templates.

    Items are ``(templates, target, index)``: float32 ``(2, size, size)`` and ``(1, size, size)`` in
    [-1, 1], where a missing target is zeros, and the position in ``triples``.

    Raises:
        DataError: an unreadable file, or members of one triple that differ in shape.
    """

    def __init__(self, triples: list[Triple], size: int) -> None:
        self.triples = triples
        self.resize = v2.Resize((size, size), antialias=True)

    @staticmethod
    def _read(triple: Triple) -> Tensor:
        paths = [path for path in triple[1:] if isinstance(path, Path)]
        images = [read_image(path, "L") for path in paths]
        for path, image in zip(paths, images, strict=True):
            if image.shape != images[0].shape:
                size, expected = (f"{i.shape[2]}x{i.shape[1]}" for i in (image, images[0]))
                raise DataError(
                    f"{path}: is {size} pixels but {paths[0]} is {expected}; "
                    "the members of a triple must have one shape"
                )
        return torch.cat(images)

    def __len__(self) -> int:
        return len(self.triples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        pixels = self.resize(self._read(self.triples[index])) / 127.5 - 1
        target = pixels[2:] if len(pixels) == 3 else torch.zeros_like(pixels[:1])
        return pixels[:2], target, index


class BlotDataModule(pl.LightningDataModule):
    """Training, held-out and prediction batches of blots with their two templates.

    Batches are ``(templates, targets, indices)``, see ``BlotTriples``. The split is into ``folds``
    parts, of which ``fold`` is held out; it is by membrane where ``groups.csv`` is there, for crops
    of one membrane overlap and a random split would leak.

    Args:
        data_dir: folder in the layout above; null draws the built-in, synthetic sample.
        test_dir: folder in the same layout for ``test``; null tests on the held-out fold.
        predict_dir: folder with the two template folders; null predicts the held-out fold.
        target: folder and prefix of the blots, as in ``wb_dataset/``.
        template1: folder and prefix of the first templates, as in ``wb_template/BandMask_``.
        template2: the same for the second.
        size: side in pixels that images are resized to.
        folds: parts of the split.
        fold: the held-out one, from 0.
        flip: mirror training triples at random, left to right and top to bottom.
        batch_size: training triples in a batch of one process.
        eval_batch_size: the same for validation, test and prediction; it changes no result.
        num_workers: processes that batch; 0 is fastest, for the pixels are in memory.
        seed: of the split and of the training order.

    Raises:
        DataError: from ``prepare_data`` or ``setup``, before anything is trained.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        test_dir: str | None = None,
        predict_dir: str | None = None,
        target: str = "wb_dataset/",
        template1: str = "wb_template/BandMask_",
        template2: str = "wb_template2/BasePattern_",
        size: int = 64,
        folds: int = 5,
        fold: int = 0,
        flip: bool = False,
        batch_size: int = 1,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= fold < folds:
            raise DataError(f"fold {fold} of {folds} folds does not exist; they are counted from 0")
        self.data_dir = data_dir
        self.test_dir = test_dir
        self.predict_dir = predict_dir
        self.target = target
        self.template1 = template1
        self.template2 = template2
        self.size = size
        self.folds = folds
        self.fold = fold
        self.flip = flip
        self.mirror = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()])
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.seed = seed

    @property
    def is_sample(self) -> bool:
        return self.data_dir is None

    @property
    def data_source(self) -> str:
        """ "sample", or the folder that was given."""
        return "sample" if self.data_dir is None else str(Path(self.data_dir).resolve())

    @property
    def folder(self) -> Path:
        if self.data_dir is None:
            return cached_sample(draw_sample, self.seed)
        return Path(self.data_dir)

    def prepare_data(self) -> None:
        if self.is_sample:
            log.warning("SAMPLE DATA: synthetic blots drawn by this project, not real ones")
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: no such folder (data_dir)")

    def setup(self, stage: str) -> None:
        if stage == "predict" and self.predict_dir is not None:
            triples = find_triples(Path(self.predict_dir), self.template1, self.template2, None)
            self.predict_set = Kept(BlotTriples(triples, self.size))
        elif stage == "test" and self.test_dir is not None:
            self.test_set = Kept(BlotTriples(self._triples(Path(self.test_dir)), self.size))
        else:
            train, held_out = self._split()
            if stage == "fit":
                self.train_set = Kept(BlotTriples(train, self.size))
            self.val_set = self.test_set = self.predict_set = Kept(BlotTriples(held_out, self.size))

    def _triples(self, root: Path) -> list[Triple]:
        return find_triples(root, self.template1, self.template2, self.target)

    def _split(self) -> tuple[list[Triple], list[Triple]]:
        triples = self._triples(self.folder)
        groups = [triple.stem for triple in triples]
        table = self.folder / "groups.csv"
        if table.is_file():
            groups = read_groups(table, groups)
        if len(set(groups)) < self.folds:
            kind = "membranes" if table.is_file() else "triples"
            raise DataError(
                f"{self.folder}: {len(set(groups))} {kind} do not fill {self.folds} folds; "
                "lower data.folds or add data"
            )
        fold_of = assign_folds(groups, self.folds, self.seed)
        held_out = [triples[i] for i in np.flatnonzero(fold_of == self.fold)]
        train = [triples[i] for i in np.flatnonzero(fold_of != self.fold)]
        log.info(
            "%d training and %d held-out triples, split %s",
            len(train),
            len(held_out),
            "by membrane" if table.is_file() else "at random: no groups.csv",
        )
        return train, held_out

    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        sampler = shuffled(self.train_set, self.trainer, self.seed)
        return self._loader(self.train_set, self.batch_size, sampler)

    def val_dataloader(self) -> DataLoader:
        return self._ordered_loader(self.val_set)

    def test_dataloader(self) -> DataLoader:
        return self._ordered_loader(self.test_set)

    def predict_dataloader(self) -> DataLoader:
        return self._ordered_loader(self.predict_set)

    def _ordered_loader(self, dataset: Dataset) -> DataLoader:
        assert self.trainer is not None
        return self._loader(dataset, self.eval_batch_size, in_order(dataset, self.trainer))

    def _loader(self, dataset: Dataset, batch_size: int, sampler: Iterable[int]) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=batch_size,  # by name: Lightning makes the loader again for predict
            sampler=sampler,
            num_workers=self.num_workers,
            # Else a new iterator draws from the global one, and a resumed run makes one less.
            generator=torch.Generator(),
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        assert self.trainer is not None
        if not (self.flip and self.trainer.training):
            return batch
        templates, targets, indices = batch
        pixels = torch.stack([self.mirror(x) for x in torch.cat([templates, targets], 1)])
        return pixels[:, :2], pixels[:, 2:], indices
