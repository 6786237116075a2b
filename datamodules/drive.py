"""The DRIVE set of fundus photographs, for vessel segmentation and for reconstruction.

Source: Staal et al., "Ridge-based vessel segmentation in color images of the retina", 2004;
https://drive.grand-challenge.org (the download there needs an account).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from datamodules import fundus
from datamodules.drive_sample import draw_drive
from datamodules.errors import DataError
from datamodules.fundus_augmentation import Augmentation
from datamodules.images import list_images, read_image
from datamodules.kept import Kept
from datamodules.sample_cache import cached_sample
from datamodules.samplers import in_order, shuffled

Split = Literal["training", "test"]
# The names of each folder, the official one first.
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {"training": ("training", "train"), "test": ("test",)}
IMAGE_NAMES = ("images", "image")
VESSEL_NAMES = ("1st_manual", "masks")
FOV_NAMES = ("mask",)
SECOND_NAMES = ("2nd_manual",)


@dataclass(frozen=True)
class Eye:
    """The files of one photograph; None where the folder does not have that part."""

    image: Path
    vessels: Path | None = None
    fov: Path | None = None
    second: Path | None = None


def _folder(parent: Path, names: Sequence[str]) -> Path | None:
    return next((parent / name for name in names if (parent / name).is_dir()), None)


def _key(path: Path) -> str:
    """What an image and its masks have in common: ``21`` of ``21_training``, ``21_manual1``..."""
    return re.sub(r"(_(training|test|manual[12]|mask))+$", "", path.stem, flags=re.IGNORECASE)


def _by_key(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(folder):
        other = found.setdefault(_key(path), path)
        if other != path:
            raise DataError(f"{other} and {path}: two files for '{_key(path)}'; keep one of them")
    return found


def read_split(folder: Path) -> list[Eye]:
    """The photographs of one split, each with what belongs to it by name.

    ``folder`` holds ``images/`` and, each of them optional but then complete, vessel masks in
    ``1st_manual/`` (official) or ``masks/`` (flat), ``mask/`` (field of view), ``2nd_manual/``.

    Raises:
        DataError: no images; an image without its mask or a mask without its image where the folder
            of masks has any; two files for one name.
    """
    image_folder = _folder(folder, IMAGE_NAMES)
    if image_folder is None:
        raise DataError(f"{folder}: holds no folder images/; expected the layout of DRIVE")
    images = _by_key(image_folder)
    parts: list[dict[str, Path]] = []
    for names in (VESSEL_NAMES, FOV_NAMES, SECOND_NAMES):
        part_folder = _folder(folder, names)
        part = {}
        if part_folder is not None and any(part_folder.iterdir()):
            part = _by_key(part_folder)
            for key in images.keys() - part.keys():
                raise DataError(
                    f"{images[key]}: has no mask {part_folder / key}*; add it or remove the image"
                )
            for key in part.keys() - images.keys():
                raise DataError(
                    f"{part[key]}: has no image {image_folder / key}*; add it or remove the mask"
                )
        parts.append(part)
    vessels, fov, second = parts
    return [Eye(images[k], vessels.get(k), fov.get(k), second.get(k)) for k in images]


def read_drive(data_dir: Path) -> dict[Split, list[Eye]]:
    """The splits that ``data_dir`` has, ``training`` (or ``train``) and ``test``.

    A folder with ``images/`` right in it and no split is all test.

    Raises:
        DataError: no such folder, another layout, or as `read_split`.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder")
    folders = {split: _folder(data_dir, names) for split, names in SPLIT_NAMES.items()}
    splits = {split: read_split(folder) for split, folder in folders.items() if folder is not None}
    if not splits and _folder(data_dir, IMAGE_NAMES) is not None:
        splits["test"] = read_split(data_dir)
    if not splits:
        raise DataError(
            f"{data_dir}: not the layout of DRIVE; expected training/images, training/1st_manual, "
            "test/images (or masks/ in place of 1st_manual/)"
        )
    return splits


def read_mask(path: Path, image: Path, size: Sequence[int], full: bool = False) -> tv_tensors.Mask:
    """A drawn mask as bool ``(1, H, W)``; any two gray levels, smoothed edges allowed.

    Args:
        path: the mask.
        image: the photograph it belongs to, for the message.
        size: ``(H, W)`` of that photograph.
        full: allow a mask that is set everywhere, as a field of view may be.

    Raises:
        DataError: unreadable, of another size, empty, or not a mask (more than a fifth of the
            pixels lie between dark and bright); names both files.
    """
    gray = read_image(path, "L")
    if gray.shape[-2:] != torch.Size(size):
        (mh, mw), (h, w) = gray.shape[-2:], size
        raise DataError(f"{path}: mask of {mw}x{mh} px for {image} of {w}x{h} px; redraw or resize")
    low, high = int(gray.min()), int(gray.max())
    if low == high:
        if full and high:
            return tv_tensors.Mask(torch.ones_like(gray, dtype=torch.bool))
        raise DataError(f"{path}: empty mask ({low} everywhere) for {image}; remove both or redraw")
    level = (gray.float() - low) / (high - low)
    between = ((level > 0.2) & (level < 0.8)).float().mean().item()
    if between > 0.2 or low > high / 2:
        raise DataError(
            f"{path}: not a binary mask (gray {low} to {high}, {between:.0%} of it in between) "
            f"for {image}; save it in black and white"
        )
    return tv_tensors.Mask(level > 0.5)


@dataclass(frozen=True)
class FundusInput:
    """How a photograph becomes what the network sees; the same in training and prediction.

    Args:
        channels: "gray" (luminance, 1 channel), "green" (1) or "rgb" (3).
        size: squash to size x size px, as the reference does; None keeps the native size.
        diameter: scale without distortion to this diameter of the field of view in px, so that
            vessels of any camera are as wide as in training; not together with ``size``.
        even_light: remove slow changes of light and standardise inside the field of view, with a
            Gaussian of this many px at the network's scale; None scales 0..255 to [-1, 1] instead.
    """

    channels: Literal["gray", "green", "rgb"] = "gray"
    size: int | None = 512
    diameter: float | None = None
    even_light: float | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.diameter is not None:
            raise ValueError("input: give size or diameter, not both")

    def read(self, eye: Eye) -> dict[str, Any]:
        """One photograph and its masks.

        Returns:
            ``image`` float32 ``(C, h, w)``, ``fov`` bool ``(1, h, w)``, ``vessels`` bool likewise
            if drawn, all at the network's size; ``native_size`` ``(2,)`` and, at that size,
            ``native_vessels`` and ``native_fov`` bool ``(1, H, W)`` or None where there is no file.

        Raises:
            DataError: see `read_image` and `read_mask`.
        """
        pixels = read_image(eye.image, "L" if self.channels == "gray" else "RGB")
        native = pixels.shape[-2:]
        vessels = read_mask(eye.vessels, eye.image, native) if eye.vessels else None
        drawn_fov = read_mask(eye.fov, eye.image, native, full=True) if eye.fov else None
        fov = tv_tensors.Mask(fundus.estimate_fov(pixels)) if drawn_fov is None else drawn_fov
        item = {"native_size": torch.tensor(native), "native_vessels": vessels}
        item["native_fov"] = drawn_fov
        if self.channels == "green":
            pixels = tv_tensors.Image(pixels[1:2])
        if self.size is not None:
            size = [self.size, self.size]
        elif self.diameter is not None:
            size = fundus.resize_to_diameter(self.diameter, fov)
        else:
            size = list(native)
        resize = v2.Resize(size, antialias=True)
        pixels, fov = resize(pixels, fov)
        if vessels is not None:
            item["vessels"] = resize(vessels)
        item["fov"] = fov
        if self.even_light is None:
            item["image"] = F.to_dtype(pixels, torch.float32, scale=True) * 2 - 1
        else:
            item["image"] = fundus.even_light(pixels, fov, self.even_light)
        return item


class Eyes(Dataset[dict[str, Any]]):
    """Photographs as network input, with ``name`` (file name) and ``index`` beside it.

    Args:
        eyes: the files.
        inputs: how they are read.
    """

    def __init__(self, eyes: Sequence[Eye], inputs: FundusInput) -> None:
        self.eyes, self.inputs = eyes, inputs

    def __len__(self) -> int:
        return len(self.eyes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.inputs.read(self.eyes[index])
        return {**item, "name": self.eyes[index].image.name, "index": index}


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch; what has the network's size is padded with zeros below and at the right.

    Returns:
        ``image``, ``fov``, ``vessels`` stacked ``(N, C, h, w)`` with h, w multiples of 32;
        ``input_size``, ``native_size`` ``(N, 2)``, ``index`` ``(N,)``; the rest as lists.
    """
    sizes = torch.tensor([item["image"].shape[-2:] for item in items])
    height, width = (-(-int(side) // 32) * 32 for side in sizes.amax(dim=0))
    batch: dict[str, Any] = {"input_size": sizes}
    for key in items[0]:
        values = [item[key] for item in items]
        if key in ("image", "fov", "vessels"):
            values = [F.pad(v, [0, 0, width - v.shape[-1], height - v.shape[-2]]) for v in values]
            batch[key] = torch.stack([value.as_subclass(Tensor) for value in values])
        elif key == "native_size":
            batch[key] = torch.stack(values)
        elif key == "index":
            batch[key] = torch.tensor(values)
        else:
            batch[key] = values
    return batch


class _DRIVE(pl.LightningDataModule):
    """What both tasks share: the folder, its splits, the loaders."""

    def __init__(
        self,
        data_dir: str | None,
        predict_dir: str | None,
        batch_size: int,
        num_workers: int,
        val_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.data_dir, self.predict_dir = data_dir, predict_dir
        self.batch_size, self.num_workers = batch_size, num_workers
        self.val_size, self.seed = val_size, seed
        self.train_set: Dataset[dict[str, Any]] | None = None
        self.val_set: Dataset[dict[str, Any]] | None = None
        self.test_set: Dataset[dict[str, Any]] | None = None
        self.predict_set: Dataset[dict[str, Any]] | None = None

    @property
    def _predicts_folder(self) -> bool:
        return self.predict_dir is not None and self.trainer is not None and self.trainer.predicting

    @property
    def is_sample(self) -> bool:
        """Whether the images are the built-in drawings."""
        return self.data_dir is None and not self._predicts_folder

    @property
    def data_source(self) -> str:
        """ "sample", or the absolute path of the folder in use."""
        if self._predicts_folder:
            return str(Path(str(self.predict_dir)).expanduser().resolve())
        if self.data_dir is None:
            return "sample"
        return str(Path(self.data_dir).expanduser().resolve())

    def read(self) -> dict[Split, list[Eye]]:
        """The splits of ``data_dir``, or of the built-in sample, drawn on first use."""
        if self.data_dir is None:
            return read_drive(cached_sample(draw_drive, 0))
        return read_drive(Path(self.data_dir).expanduser())

    def prepare_data(self) -> None:
        """Draw the sample if it is asked for; check that all files are there and paired."""
        if self.is_sample:
            rank_zero_info("SAMPLE: no data_dir given, so synthetic drawings, not fundus images")
        if self._predicts_folder:
            list_images(Path(self.data_source))
        else:
            self.read()

    def training_split(self) -> tuple[list[Eye], list[Eye]]:
        """Training and validation images: ``val_size`` of the training folder, drawn by ``seed``.

        Raises:
            DataError: no training folder, or too few images in it.
        """
        eyes = self.read().get("training")
        if eyes is None:
            raise DataError(f"{self.data_source}: holds no training/ folder; only test and predict")
        if not 0 < self.val_size < len(eyes):
            raise DataError(
                f"{self.data_source}: {len(eyes)} training images, so val_size is 1 to "
                f"{len(eyes) - 1}, not {self.val_size}"
            )
        order = torch.randperm(len(eyes), generator=torch.Generator().manual_seed(self.seed))
        held_out = set(order[: self.val_size].tolist())
        return (
            [eye for i, eye in enumerate(eyes) if i not in held_out],
            [eye for i, eye in enumerate(eyes) if i in held_out],
        )

    def test_split(self) -> list[Eye]:
        """The test images.

        Raises:
            DataError: the folder has no test images.
        """
        eyes = self.read().get("test")
        if eyes is None:
            raise DataError(f"{self.data_source}: holds no test/ folder; `validate` needs none")
        return eyes

    def predict_split(self) -> list[Eye]:
        """The images of ``predict_dir``, or else the test images.

        Raises:
            DataError: no image there, or two of the same stem, whose outputs would collide.
        """
        if self.predict_dir is None:
            return self.test_split()
        paths = list_images(Path(self.predict_dir).expanduser())
        by_stem: dict[str, Path] = {}
        for path in paths:
            other = by_stem.setdefault(path.stem, path)
            if other != path:
                raise DataError(f"{other} and {path}: the same name; rename one of them")
        return [Eye(path) for path in paths]

    def _loader(
        self,
        dataset: Any,
        batch_size: int = 1,
        train: bool = False,
        collate_fn: Callable[[list[Any]], Any] = collate,
    ) -> DataLoader:
        trainer = self.trainer
        assert trainer is not None
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=shuffled(dataset, trainer, self.seed) if train else in_order(dataset, trainer),
            num_workers=self.num_workers,
            collate_fn=collate_fn,
            # Else a new iterator draws from the global one, and a resumed run makes one less.
            generator=torch.Generator(),
            pin_memory=torch.cuda.is_available(),
        )

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.train_set, self.batch_size, train=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.val_set)

    def test_dataloader(self) -> DataLoader:
        return self._loader(self.test_set)

    def predict_dataloader(self) -> DataLoader:
        return self._loader(self.predict_set)


class DRIVESegmentationDataModule(_DRIVE):
    """Fundus photographs with their drawn vessels, see `FundusInput.read` and `collate`.

    Masks are bool, but augmented training masks float32 from 0 to 1.

    Args:
        data_dir: a folder in the layout of DRIVE, see `read_drive`; None is the built-in sample.
        predict_dir: a plain folder of photographs for `predict`; None takes the test images.
        batch_size: of training; evaluation takes one image at a time, for sizes may differ.
        num_workers: processes that decode.
        val_size: how many of the training images are kept for validation.
        seed: of that choice and of the training order.
        test_on: "validation" lets `test` score the validation images, for sets whose test images
            have no manual masks (the present official download).
        inputs: how a photograph becomes what the network sees.
        augmentation: of training images, on the device, each by its own draw; None for none.
        views_per_image: how often an image is seen in one epoch.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        predict_dir: str | None = None,
        batch_size: int = 1,
        num_workers: int = 0,
        val_size: int = 4,
        seed: int = 42,
        test_on: Literal["test", "validation"] = "test",
        inputs: FundusInput = FundusInput(),
        augmentation: Augmentation | None = None,
        views_per_image: int = 1,
    ) -> None:
        super().__init__(data_dir, predict_dir, batch_size, num_workers, val_size, seed)
        self.test_on, self.inputs = test_on, inputs
        self.views = augmentation.build() if augmentation else None
        self.views_per_image = views_per_image

    def setup(self, stage: str) -> None:
        """Build the data sets; every file is read once here, so that a bad one stops us here.

        Raises:
            DataError: see `read_drive`, `read_mask`; no manual masks where they are needed.
        """
        if stage == "predict":
            self.predict_set = Eyes(self.predict_split(), self.inputs)
        elif stage == "test" and self.test_on == "test":
            test = self.test_split()
            if test[0].vessels is None:
                raise DataError(
                    f"{test[0].image.parent.parent}: no manual masks (1st_manual/) to score with; "
                    "score the validation images with --data.test_on validation, or use predict"
                )
            self.test_set = self._checked(test)
        else:
            train, val = self.training_split()
            if train[0].vessels is None:
                folder = train[0].image.parent.parent
                raise DataError(f"{folder}: no manual masks (1st_manual/) to train on; add them")
            self.val_set = self.test_set = self._checked(val)
            if stage == "fit":
                kept = Kept(Eyes(train, self.inputs))
                self.train_set = ConcatDataset([kept] * self.views_per_image)

    def _checked(self, eyes: list[Eye]) -> Eyes:
        for eye in eyes:
            size = read_image(eye.image, "L").shape[-2:]
            for mask in (eye.vessels, eye.fov):
                if mask is not None:
                    read_mask(mask, eye.image, size, full=mask is eye.fov)
        if eyes[0].fov is None:
            rank_zero_info(
                f"{self.data_source}: no FOV masks, so scores are of the full frame only"
            )
        return Eyes(eyes, self.inputs)

    def train_dataloader(self) -> DataLoader:
        # Whole pictures that are going to be cut need not be stacked before.
        return self._loader(self.train_set, self.batch_size, True, list if self.views else collate)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Cut and augment training images, each by its own draw; see the class."""
        if self.views is None or not isinstance(batch, list):
            return batch
        images, masks = [], []
        for item in batch:
            drawn = tv_tensors.Mask(torch.cat([item["vessels"], item["fov"]]))
            image, mask = self.views(tv_tensors.Image(item["image"]), drawn)
            images.append(image.as_subclass(Tensor))
            masks.append(mask.as_subclass(Tensor))
        image, mask = torch.stack(images), torch.stack(masks)
        names = [item["name"] for item in batch]
        # A pixel that is only partly of the field of view does not count.
        return {"image": image, "vessels": mask[:, :1], "fov": (mask[:, 1:] > 0.99), "name": names}


class Photographs(Dataset[dict[str, Any]]):
    """RGB photographs alone: ``image`` in [-1, 1], ``native_size``, ``name``, ``index``."""

    def __init__(self, paths: Sequence[Path], size: int | None) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pixels = read_image(self.paths[index], "RGB")
        native = torch.tensor(pixels.shape[-2:])
        if self.size is not None:
            pixels = F.resize(pixels, [self.size, self.size], antialias=True)
        image = F.to_dtype(pixels, torch.float32, scale=True) * 2 - 1
        name = self.paths[index].name
        return {"image": image, "native_size": native, "name": name, "index": index}


class DRIVEReconstructionDataModule(_DRIVE):
    """Fundus photographs in colour, normalised with mean 0.5 and deviation 0.5; needs no masks.

    Batches hold ``image`` float32 ``(N, 3, H, W)`` in [-1, 1], H and W multiples of 32,
    ``input_size`` ``(N, 2)`` before padding to that, ``native_size`` ``(N, 2)`` of the file,
    ``name`` (file names), ``index`` ``(N,)``.

    Args:
        data_dir: a folder in the layout of DRIVE, see `read_drive`; None is the built-in sample.
        predict_dir: a plain folder of photographs for `predict`; None takes the test images.
        batch_size: of training; evaluation takes one image at a time, for sizes may differ.
        num_workers: processes that decode.
        val_size: how many of the training images are kept for validation.
        seed: of that choice and of the training order.
        size: squash to size x size px, as the reference does; None keeps the native size.
        crop: side of random training crops in px; None trains on whole images.
        crops_per_image: how often an image is seen in one epoch.
        augment: mirror training images at random.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        predict_dir: str | None = None,
        batch_size: int = 1,
        num_workers: int = 0,
        val_size: int = 4,
        seed: int = 42,
        size: int | None = 512,
        crop: int | None = None,
        crops_per_image: int = 1,
        augment: bool = False,
    ) -> None:
        super().__init__(data_dir, predict_dir, batch_size, num_workers, val_size, seed)
        self.size, self.crop, self.crops_per_image = size, crop, crops_per_image
        steps: list[v2.Transform] = []
        if crop is not None:
            steps.append(v2.RandomCrop(crop, pad_if_needed=True))
        if augment:
            steps += [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
        self.augmentation = v2.Compose(steps) if steps else None

    def setup(self, stage: str) -> None:
        """Build the data sets of this stage."""
        if stage == "predict":
            self.predict_set = self._photographs(self.predict_split())
        elif stage == "test":
            self.test_set = self._photographs(self.test_split())
        else:
            train, val = self.training_split()
            self.val_set = self._photographs(val)
            if stage == "fit":
                kept = Kept(self._photographs(train))
                self.train_set = ConcatDataset([kept] * self.crops_per_image)

    def _photographs(self, eyes: list[Eye]) -> Photographs:
        return Photographs([eye.image for eye in eyes], self.size)

    def train_dataloader(self) -> DataLoader:
        collate_fn = list if self.augmentation else collate
        return self._loader(self.train_set, self.batch_size, True, collate_fn)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Cut and mirror training images, each by its own draw."""
        if self.augmentation is None or not isinstance(batch, list):
            return batch
        images = [self.augmentation(item["image"]) for item in batch]
        return {"image": torch.stack(images), "name": [item["name"] for item in batch]}
