"""AOI defect images in the public AIdea layout.

<data_dir>/train.csv      ID,Label      train_00000.png,0
<data_dir>/train_images/
<data_dir>/test.csv       ID,Label      the label may be empty: the public ones are
<data_dir>/test_images/
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from common.errors import DataError
from common.paths import expand
from common.ranges import BatchSize, FoldCount, ImageSide, Seed
from datamodules.aoi_files import (
    UNLABELED,
    Table,
    check_images,
    name_array,
    read_table,
    stratified_split,
)
from datamodules.base import ImageDataModule
from datamodules.folds import Fold, fold_split
from datamodules.images import list_images, read_image
from datamodules.preprocessing import normalize_defects, resize_square
from datamodules.synthetic.aoi import draw_sample
from datamodules.transforms import Augmentation

CLASS_NAMES = ("normal", "void", "horizontal", "vertical", "edge", "particle")


class DefectDataset(Dataset[dict[str, Any]]):
    """Gray images of one folder with their classes.

    Items are ``image`` uint8 ``(1, size, size)``, ``target``, ``name`` and ``index``.

    Args:
        folder: where the files are.
        names: paths in it, an array of strings ``(N,)``.
        targets: classes, int64 ``(N,)``, ``UNLABELED`` where unknown.
        size: side in px that images are resized to.
    """

    def __init__(self, folder: Path, names: np.ndarray, targets: Tensor, size: int) -> None:
        self.folder, self.names, self.targets = folder, names, targets
        self.size = size

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return str(self.names[index])

    def __getitem__(self, index: int) -> dict[str, Any]:
        name = self.name(index)
        image = resize_square(read_image(self.folder / name, "L"), self.size).as_subclass(Tensor)
        return {"image": image, "target": self.targets[index], "name": name, "index": index}


class FeatureDataset(Dataset[dict[str, Any]]):
    """As the images, with ``features`` float32 ``(F,)`` in place of each ``image``.

    Args:
        images: the data set that the features are of.
        features: ``(N, F)``, in its order.
    """

    in_memory = True  # a worker could only pass them on

    def __init__(self, images: DefectDataset, features: Tensor) -> None:
        self.images, self.features, self.targets = images, features, images.targets

    def __len__(self) -> int:
        return len(self.features)

    def name(self, index: int) -> str:
        return self.images.name(index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = {"target": self.targets[index], "name": self.name(index), "index": index}
        return {"features": self.features[index], **item}


class AOIDataModule(ImageDataModule):
    """Training, validation, test and prediction batches of industrial images.

    Batches hold ``image`` float32 ``(N, 3, size, size)``, gray repeated and normalized with
    ImageNet's mean and standard deviation; ``target`` int64 ``(N,)``, -1 where unknown; ``name``, a
    list of file names; ``index`` int64 ``(N,)``, positions in the data set.

    Args:
        data_dir: folder in the AIdea layout; null draws the built-in, synthetic sample.
        predict_dir: plain folder of images, or one image, for ``predict``; null predicts
            ``test.csv``.
        recursive: predict the images in the folders below ``predict_dir`` too.
        class_names: in the order of the labels 0, 1, ...
        image_size: side in px that images are resized to.
        val_fraction: part of each class of ``train.csv`` that is kept for validation.
        folds: cut ``train.csv`` into so many parts instead, each class evenly; null takes
            ``val_fraction``.
        fold: the part that is kept for validation, from 0; "all" trains on every image.
        batch_size: images in a batch of one process.
        num_workers: processes that decode images.
        augmentation: how training images vary at random, on the device; null: not at all.
        cache_features: let ``FeatureCache`` compute a frozen backbone's features once.
        seed: of the split and of the training order.

    Raises:
        DataError: class names that are empty or not unique; from ``prepare_data`` and ``setup``,
            for a layout, table or image it cannot use.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        predict_dir: str | None = None,
        recursive: bool = False,
        class_names: list[str] = list(CLASS_NAMES),
        image_size: ImageSide = 224,
        val_fraction: OpenUnitInterval = 0.15,
        folds: FoldCount | None = None,
        fold: Fold | None = None,
        batch_size: BatchSize = 32,
        num_workers: NonNegativeInt = 2,
        augmentation: Augmentation | None = None,
        cache_features: bool = True,
        seed: Seed = 0,
    ) -> None:
        super().__init__(
            draw_sample,
            data_dir,
            predict_dir,
            batch_size=batch_size,
            eval_batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            folds=folds,
            fold=fold,
        )
        self.save_hyperparameters()
        if not class_names or not all(class_names) or len(set(class_names)) < len(class_names):
            raise DataError(
                f"data.class_names: {class_names}; give one name a class, all different"
            )
        self.recursive, self.class_names = recursive, class_names
        self.image_size, self.val_fraction = image_size, val_fraction
        self.augmentation, self.cache_features = augmentation, cache_features
        # Of "train" and "val", filled by FeatureCache: they take the place of the images in fit.
        self.features: dict[str, Tensor] = {}
        self.normalize = normalize_defects

    def setup(self, stage: str) -> None:
        if stage in ("fit", "validate"):
            self._setup_training(stage)
        elif stage == "test":
            self.test_set = self._images("test")
            if self.test_set.targets[0] == UNLABELED:
                raise DataError(
                    f"{self.folder / 'test.csv'}: has no labels to test against; "
                    "`validate` scores the validation split, `predict` writes a submission"
                )
        elif self.predict_dir is None:
            self.predict_set = self._images("test")
        else:
            self.predict_set = self._plain(expand(self.predict_dir))

    def _setup_training(self, stage: str) -> None:
        table = self._table("train")
        self.refuse_to_score_all(stage)
        train, val = self._split(table.labels)
        folder, size = self.folder / "train_images", self.image_size
        self.train_set, self.val_set = (
            DefectDataset(folder, table.names[part.numpy()], table.labels[part], size)
            if len(part)
            else None
            for part in (train, val)
        )
        counts = table.labels[train].bincount().tolist()
        rank_zero_info(
            "%d training and %d validation images%s; training images by class: %s",
            len(train),
            len(val),
            self.split_description,
            ", ".join(f"{n} {count}" for n, count in zip(self.class_names, counts, strict=True)),
        )

    def _split(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.trains_on_all:
            return torch.arange(len(labels)), torch.arange(0)
        if self.folds is None:
            return stratified_split(labels, self.val_fraction, self.seed)
        where = self.folder / "train.csv"
        parts = fold_split(where, self.folds, self.fold, self.seed, len(labels), labels.numpy())
        train, val = map(torch.from_numpy, parts)
        return train, val

    def _table(self, split: str) -> Table:
        path = self.folder / f"{split}.csv"
        count = len(self.class_names)
        table = read_table(path, count, labeled=split == "train")
        check_images(table, self.folder / f"{split}_images", path)
        absent = set(range(count)) - set(table.labels.unique().tolist())
        if split == "train" and absent:
            raise DataError(f"{path}: no image of class {min(absent)}; the split needs 2 or more")
        return table

    def _images(self, split: str) -> DefectDataset:
        names, labels = self._table(split)
        return DefectDataset(self.folder / f"{split}_images", names, labels, self.image_size)

    def _plain(self, folder: Path) -> DefectDataset:
        paths = list_images(folder, self.recursive)
        if folder.is_file():
            folder = folder.parent
        names = name_array([path.relative_to(folder).as_posix() for path in paths])
        unknown = torch.full((len(names),), UNLABELED)
        return DefectDataset(folder, names, unknown, self.image_size)

    def train_dataloader(self) -> DataLoader:
        return self.train_loader(self._seen("train", self.train_set))

    def val_dataloader(self) -> Any:
        images = self._seen("val", self.val_set)
        return [] if images is None else self.eval_loader(images)

    def _seen(self, split: str, images: Dataset | None) -> Dataset | None:
        if split not in self.features:
            return images
        assert isinstance(images, DefectDataset)
        return FeatureDataset(images, self.features[split])

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment training images, each by its own draw, and normalize; see the class."""
        if "features" in batch:  # see FeatureCache
            return batch
        images = batch["image"]
        if self.augmentation is not None and self.trainer is not None and self.trainer.training:
            images = torch.stack([self.augmentation(image) for image in images])
        return {**batch, "image": self.normalize(images)}
