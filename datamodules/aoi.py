"""AOI defect images in the public AIdea layout.

<data_dir>/train.csv      ID,Label      train_00000.png,0
<data_dir>/train_images/
<data_dir>/test.csv       ID,Label      the label may be empty: the public ones are
<data_dir>/test_images/
"""

import csv
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from datamodules.aoi_sample import draw_sample
from datamodules.defect_augmentation import Augmentation
from datamodules.errors import DataError
from datamodules.images import list_images, read_image
from datamodules.sample_cache import cached_sample
from datamodules.samplers import in_order, shuffled

log = logging.getLogger(__name__)

CLASS_NAMES = ("normal", "void", "horizontal", "vertical", "edge", "particle")
UNLABELLED = -1
# Of ImageNet, which torchvision's pretrained networks expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read_table(path: Path, num_classes: int, labelled: bool) -> list[tuple[str, int]]:
    """Rows (ID, label) of a CSV with columns ``ID,Label``, in its order.

    Args:
        labelled: refuse empty labels; else they become ``UNLABELLED``.

    Raises:
        DataError: no file, column or row, a duplicate ID, a label that is not in
            ``0 .. num_classes - 1``, labels in part of the rows only.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; data_dir must hold train.csv and train_images/")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"ID", "Label"} - set(reader.fieldnames or [])
        if missing:
            raise DataError(f"{path}: no column {' or '.join(sorted(missing))}; expected ID,Label")
        rows = [((row["ID"] or "").strip(), (row["Label"] or "").strip()) for row in reader]
    if not rows:
        raise DataError(f"{path}: holds no rows")
    table: dict[str, int] = {}
    for number, (name, text) in enumerate(rows, start=2):
        where = f"{path}, line {number}"
        if not name:
            raise DataError(f"{where}: the ID is empty")
        if name in table:
            raise DataError(f"{where}: {name} is listed twice")
        if not text and not labelled:
            table[name] = UNLABELLED
            continue
        if not text.isascii() or not text.isdigit() or int(text) >= num_classes:
            raise DataError(f"{where}: label {text!r} of {name} is not in 0-{num_classes - 1}")
        table[name] = int(text)
    if len({label == UNLABELLED for label in table.values()}) > 1:
        raise DataError(
            f"{path}: some rows have a label and some have none; fill or empty them all"
        )
    return list(table.items())


def check_images(table: list[tuple[str, int]], folder: Path, csv_path: Path) -> None:
    """Refuse a table whose images are not all in ``folder``, in one line with their count."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; it must hold the images of {csv_path.name}")
    there = {path.name for path in folder.iterdir()}
    missing = [name for name, _ in table if name not in there]
    if missing:
        raise DataError(
            f"{folder}: {len(missing):,} of the {len(table):,} images listed in {csv_path.name} "
            f"are missing, first {missing[0]}; add them or remove their rows"
        )


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices for training and validation, with ``fraction`` of each class in the latter.

    Raises:
        DataError: a class has a single image, which cannot be in both parts.
    """
    generator = torch.Generator().manual_seed(seed)
    train: list[int] = []
    val: list[int] = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        if len(members) < 2:
            raise DataError(f"class {label} has 1 training image; the split needs 2 or more")
        members = members[torch.randperm(len(members), generator=generator)]
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        val += members[:count].tolist()
        train += members[count:].tolist()
    return sorted(train), sorted(val)


class DefectImages(Dataset):
    """Images with their labels and names.

    Items are ``(image, label, index)``: uint8 ``(1, size, size)``, the class or ``UNLABELLED``, and
    the position in ``names``.
    """

    def __init__(self, paths: list[Path], labels: list[int], size: int) -> None:
        self.paths, self.labels = paths, labels
        self.resize = v2.Resize((size, size), antialias=True)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return self.resize(read_image(self.paths[index], "L")), self.labels[index], index


class AOIDataModule(pl.LightningDataModule):
    """Training, validation, test and prediction batches of industrial images.

    Batches are ``(images, labels, indices)``: float32 ``(N, 3, size, size)``, gray repeated and
    normalised with ImageNet's mean and standard deviation; int64 ``(N,)`` classes; int64 ``(N,)``
    positions in the data set.

    Args:
        data_dir: folder in the AIdea layout; null draws the built-in, synthetic sample.
        predict_dir: plain folder of images for ``predict``; null predicts ``test.csv``.
        class_names: in the order of the labels 0, 1, ...
        image_size: side in pixels that images are resized to.
        val_fraction: part of each class of ``train.csv`` that is kept for validation.
        batch_size: images in a batch of one process.
        num_workers: processes that decode images.
        augmentation: how training images vary at random, see `Augmentation`; null: not at all.
        cache_features: let ``FeatureCache`` compute a frozen backbone's features once.
        seed: of the split and of the training order.

    Raises:
        DataError: from ``prepare_data``, for a layout, table or image it cannot use.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        predict_dir: str | None = None,
        class_names: list[str] = list(CLASS_NAMES),
        image_size: int = 224,
        val_fraction: float = 0.15,
        batch_size: int = 32,
        num_workers: int = 2,
        augmentation: Augmentation | None = None,
        cache_features: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.data_dir = data_dir
        self.predict_dir = predict_dir
        self.class_names = class_names
        self.image_size = image_size
        self.val_fraction = val_fraction
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.cache_features = cache_features
        self.seed = seed
        self.augment = augmentation.build(image_size) if augmentation else None
        # Filled by FeatureCache; they take the place of the images in the loaders of ``fit``.
        self.features: dict[str, Dataset] = {}
        self.normalise = v2.Compose(
            [v2.ToDtype(torch.float32, scale=True), v2.RGB(), v2.Normalize(MEAN, STD)]
        )

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
            log.warning("SAMPLE DATA: synthetic images drawn by this project, not real ones")
        if self.predict_dir is not None:
            list_images(Path(self.predict_dir))
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: no such folder (data_dir)")
        stage = self.trainer.state.fn if self.trainer else None
        if stage in (None, "fit", "validate"):
            self._table("train")
        elif stage == "test" or self.predict_dir is None:
            table = self._table("test")
            if stage == "test" and table[0][1] == UNLABELLED:
                raise DataError(
                    f"{self.folder / 'test.csv'}: has no labels to test against; "
                    "`validate` scores the validation split, `predict` writes a submission"
                )

    def _table(self, split: str) -> list[tuple[str, int]]:
        path = self.folder / f"{split}.csv"
        table = read_table(path, len(self.class_names), labelled=split == "train")
        check_images(table, self.folder / f"{split}_images", path)
        if split == "train":
            absent = set(range(len(self.class_names))) - {label for _, label in table}
            if absent:
                raise DataError(
                    f"{path}: no image of class {min(absent)}; the split needs 2 or more"
                )
        return table

    def _images(self, split: str) -> DefectImages:
        table = self._table(split)
        folder = self.folder / f"{split}_images"
        paths, labels = [folder / name for name, _ in table], [label for _, label in table]
        return DefectImages(paths, labels, self.image_size)

    def setup(self, stage: str) -> None:
        if stage in ("fit", "validate"):
            images = self._images("train")
            train, val = stratified_split(torch.tensor(images.labels), self.val_fraction, self.seed)
            self.train_set, self.val_set = (
                DefectImages(
                    [images.paths[i] for i in part],
                    [images.labels[i] for i in part],
                    self.image_size,
                )
                for part in (train, val)
            )
            counts = Counter(self.train_set.labels)
            log.info(
                "%d training and %d validation images; training images by class: %s",
                len(train),
                len(val),
                ", ".join(f"{name} {counts[i]}" for i, name in enumerate(self.class_names)),
            )
        elif stage == "test" or self.predict_dir is None:
            self.test_set = self._images("test")
        if stage == "predict":
            if self.predict_dir is None:
                self.predict_set = self.test_set
            else:
                paths = list_images(Path(self.predict_dir))
                self.predict_set = DefectImages(paths, [UNLABELLED] * len(paths), self.image_size)

    def train_dataloader(self) -> DataLoader:
        dataset = self.features.get("train", self.train_set)
        return self._loader(dataset, shuffled(dataset, self.trainer, self.seed))

    def val_dataloader(self) -> DataLoader:
        return self.ordered_loader(self.features.get("val", self.val_set))

    def test_dataloader(self) -> DataLoader:
        return self.ordered_loader(self.test_set)

    def predict_dataloader(self) -> DataLoader:
        return self.ordered_loader(self.predict_set)

    def ordered_loader(self, dataset: Dataset) -> DataLoader:
        """Each item once, in order, over all processes."""
        return self._loader(dataset, in_order(dataset, self.trainer))

    def _loader(self, dataset: Dataset, sampler: Iterable[int]) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            # Ready features are in memory: a worker could only pass them on.
            num_workers=self.num_workers if isinstance(dataset, DefectImages) else 0,
            # Else a new iterator draws from the global one, and a resumed run makes one less.
            generator=torch.Generator(),
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        images, labels, indices = batch
        if images.dtype != torch.uint8:  # features, see FeatureCache
            return batch
        if self.augment is not None and self.trainer is not None and self.trainer.training:
            images = torch.stack([self.augment(image) for image in images])
        return self.normalise(images), labels, indices
