"""Labeled images: AOI defects and any other classes, as `datamodules.aoi_files` finds them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, StackDataset

from common.errors import DataError
from common.paths import expand
from common.ranges import BatchSize, ImageSide
from datamodules.aoi_files import (
    AIDEA_NAMES,
    UNLABELED,
    LabeledFiles,
    find_images,
    in_words,
    stratified_split,
)
from datamodules.base import ImageDataModule
from datamodules.folds import fold_split
from datamodules.images import list_images, read_image
from datamodules.loader import CachedDataset
from datamodules.preprocessing import Resize, has_color, normalize_defects, resize_square
from datamodules.synthetic.aoi import draw_sample

log = logging.getLogger(__name__)

KEPT = 2**28  # pixels of decoded images that stay in memory: 5,000 images of 224 px
LOOKED_AT = 64  # images that decide on gray or color


@dataclass(eq=False)
class DefectDataset(Dataset[dict[str, Any]]):
    """Images of one folder with their classes.

    Items are ``image`` uint8 ``(1 or 3, size, size)``, ``target``, ``name`` and ``index``.

    Args:
        folder: where the files are.
        names: paths in it.
        targets: classes, int64 ``(N,)``, ``UNLABELED`` where unknown.
        size: side in px that images are resized to.
        mode: "L" reads gray, "RGB" color.
        resize: see `resize_square`.
    """

    folder: Path
    names: Sequence[str]
    targets: Tensor
    size: int
    mode: Literal["L", "RGB"] = "L"
    resize: Resize = "squash"

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def __getitem__(self, index: int) -> dict[str, Any]:
        pixels = read_image(self.folder / self.name(index), self.mode).as_subclass(Tensor)
        item = {"target": self.targets[index], "name": self.name(index), "index": index}
        return {"image": resize_square(pixels, self.size, self.resize), **item}


class AOIDataModule(ImageDataModule):
    """Training, validation, test and prediction batches of labeled images.

    Batches hold ``image`` float32 ``(N, 3, size, size)``, gray repeated and normalized with
    ImageNet's mean and standard deviation; ``target`` int64 ``(N,)``, -1 where unknown; ``name``, a
    list of file names; ``index`` int64 ``(N,)``, positions in the data set.

    Args:
        recursive: predict the images in the folders below ``predict_dir`` too.
        table: table of the file names and labels, in ``data_dir`` or elsewhere; null looks for one.
        columns: the table's columns of file names and labels; null finds them by their names.
        class_names: in the order of the labels 0, 1, ...; null takes them from the data.
        image_size: side in px that images are resized to.
        resize: "squash" resizes both sides alike, "pad" adds black to a square first, "crop" cuts
            one from the middle.
        channels: "gray", "rgb", or "auto": color where most training images have any.
        val_fraction: part of each class that is kept for validation where the data have no
            validation images of their own.
        batch_size: training images in a batch of one process.
        num_workers: processes that decode images.
        cache_features: let ``FeatureCache`` compute a frozen backbone's features once.
        **kwargs: see `ImageDataModule`.

    Raises:
        DataError: see `ImageDataModule`; class names that are empty or not unique.
    """

    draw_sample = draw_sample

    def __init__(
        self,
        *args: Any,
        recursive: bool = False,
        table: str | None = None,
        columns: list[str] | None = None,
        class_names: list[str] | None = None,
        image_size: ImageSide = 224,
        resize: Resize = "squash",
        channels: Literal["auto", "gray", "rgb"] = "auto",
        val_fraction: OpenUnitInterval = 0.15,
        batch_size: BatchSize = 32,
        num_workers: NonNegativeInt = 2,
        cache_features: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, batch_size=batch_size, num_workers=num_workers, **kwargs)
        self.recursive, self.table, self.columns = recursive, table, columns
        self.image_size, self.resize, self.val_fraction = image_size, resize, val_fraction
        self.cache_features, self.normalize = cache_features, normalize_defects
        # Of "train" and "val", filled by FeatureCache: they take the place of the images in fit.
        self.features: dict[str, Tensor] = {}
        source: str | None = "data.class_names"
        if class_names is None:
            source = self.data_dir
            found = None if self.data_dir is None else self._training_files()[0]
            class_names = found.class_names() if found else list(AIDEA_NAMES)
        if len({*class_names} - {""}) < max(2, len(class_names)):
            raise DataError(f"{source}: classes {class_names}; give two or more, all different")
        # What was found is kept in checkpoints.
        self.class_names = self.hparams["class_names"] = class_names
        self.channels = channels

    def _find(self, split: str) -> LabeledFiles | None:
        return find_images(self.folder, split, self.table, self.columns)

    def _training_files(self) -> tuple[LabeledFiles, int]:
        """Training images, with those given for validation behind them, and how many they are."""
        train, val = self._find("train"), self._find("val")
        assert train is not None
        if val is None:
            return train, len(train.names)
        names, labels = [*train.names, *val.names], [*train.labels, *val.labels]
        return train._replace(names=names, labels=labels), len(train.names)

    def setup(self, stage: str) -> None:
        option, given = self._source()
        folder = expand(str(given))
        if stage in ("fit", "validate"):
            self._setup_training(stage)
            return
        if option == "predict_dir":
            paths = list_images(folder, self.recursive)
            folder = folder.parent if folder.is_file() else folder
            names = [path.relative_to(folder).as_posix() for path in paths]
            files = LabeledFiles(folder, "", folder, names, [""] * len(names))
        elif option == "test_dir":
            splits = (find_images(folder, s, None, self.columns) for s in ("test", "val", "train"))
            files = next(filter(None, splits))
        elif (found := self._find("test")) is not None:
            files = found
        else:
            log.warning(
                "%s: no test images, so the VALIDATION images are taken; they chose the checkpoint",
                self.data_source,
            )
            self._setup_training(stage)
            self.test_set = self.predict_set = self.val_set
            return
        targets = files.targets(self.class_names)
        if stage == "test" and targets[0] == UNLABELED:
            raise DataError(
                f"{files.where}: has no labels to test against; "
                "`validate` scores the validation images, `predict` writes a submission"
            )
        self.test_set = self.predict_set = self._dataset(files.folder, files.names, targets)

    def _setup_training(self, stage: str) -> None:
        self.refuse_to_score_all(stage)
        files, targets, train, val = self._split()
        if self.channels == "auto" and stage == "fit":
            some = files.names[:: max(1, len(files.names) // LOOKED_AT)][:LOOKED_AT]
            colored = [has_color(read_image(files.folder / name, "RGB")) for name in some]
            self.channels = "rgb" if sum(colored) > len(some) / 2 else "gray"
            self.hparams["channels"] = self.channels
        self.train_set, val_set = (
            self._dataset(files.folder, [files.names[i] for i in part], targets[part])
            for part in (train, val)
        )
        self.val_set = val_set if len(val) else None
        count = len(self.class_names)
        counts, held_out = (targets[part].bincount(minlength=count) for part in (train, val))
        color = "color" if self.channels == "rgb" else "gray"
        sizes = f"{len(train)} training and {len(val)} validation images{self.split_description}"
        pairs = zip(self.class_names, counts.tolist(), strict=True)
        classes = f"training images by class: {in_words([f'{n} {c}' for n, c in pairs])}"
        rank_zero_info(f"{self.data_source}: {files.layout}, {color}; {sizes}; {classes}")
        for kind, number in (("training", counts), ("validation", held_out)):
            absent = [self.class_names[i] for i in (number == 0).nonzero()]
            if absent and number.sum():
                log.warning("no %s image of %s: no score tells of these", kind, in_words(absent))

    def _split(self) -> tuple[LabeledFiles, Tensor, Tensor, Tensor]:
        """All images to train and validate on, their classes, and the positions of either."""
        files, first = self._training_files()
        targets, count = files.targets(self.class_names), len(files.names)
        train, val = torch.arange(count).tensor_split([first])
        if self.trains_on_all:
            train, val = torch.arange(count), torch.arange(0)
        elif self.folds is not None:
            classes = targets.numpy()
            parts = fold_split(files.where, self.folds, self.fold, self.seed, count, classes)
            train, val = map(torch.from_numpy, parts)
        elif first == count:  # no images are given for validation
            train, val = stratified_split(targets, self.val_fraction, self.seed)
            if not len(val):
                raise DataError(f"{files.where}: one image a class; validation needs a second one")
        return files, targets, train, val

    def _dataset(self, folder: Path, names: Sequence[str], targets: Tensor) -> DefectDataset:
        mode: Literal["L", "RGB"] = "RGB" if self.channels == "rgb" else "L"
        return DefectDataset(folder, names, targets, self.image_size, mode, self.resize)

    def train_dataloader(self) -> DataLoader:
        return self.train_loader(self._in_fit("train", self.train_set))

    def val_dataloader(self) -> Any:
        return [] if self.val_set is None else self.eval_loader(self._in_fit("val", self.val_set))

    def _in_fit(self, split: str, images: Any) -> Dataset:
        """Cached features in place of the images, or the images, in memory if they are few."""
        if split in self.features:
            columns: dict[str, Any] = {"features": self.features[split], "target": images.targets}
            columns |= {"name": images.names, "index": range(len(images))}
            return StackDataset(**columns)
        few = len(images) * self.image_size**2 <= KEPT
        fitting = self.trainer is not None and self.trainer.state.fn == "fit"
        # Without augmentation FeatureCache reads them once.
        if not (few and fitting and self.augmentation):
            return images
        return CachedDataset(images, device=self.cache_device)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment training images, each by its own draw, and normalize; see the class."""
        if "features" in batch:  # see FeatureCache
            return batch
        images = batch["image"]
        if self.augmentation is not None and self.trainer is not None and self.trainer.training:
            images = torch.stack([self.augmentation(image) for image in images])
        return self.in_precision({**batch, "image": self.normalize(images)})
