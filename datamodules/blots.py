"""Western blots, or other images, with their templates: pairs as `datamodules.blot_files` finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jsonargparse.typing import PositiveInt
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import DataError
from common.paths import expand
from common.ranges import ImageSide
from datamodules.base import ImageDataModule
from datamodules.blot_files import (
    Pair,
    assign_folds,
    find_pairs,
    find_roles,
    find_templates,
)
from datamodules.blot_style import BlotStyle, measure_style
from datamodules.images import read_image
from datamodules.label_tables import read_table
from datamodules.loader import CachedDataset
from datamodules.preprocessing import blot_input, has_color
from datamodules.synthetic.blots import draw_sample


@dataclass(eq=False)
class BlotDataset(Dataset[dict[str, Any]]):
    """Images with their templates.

    Items are ``image``, all templates, float32 ``(T, size, size)``, and ``target`` ``(C, size,
    size)`` in [-1, 1], zeros where it is missing; ``name``, the first template's, and ``index``.

    Args:
        pairs: the files.
        size: side in px that images are resized to; None keeps their own.
        mode: "L" reads gray, "RGB" color.
        more: gives further values of an item, from its pair and the values above.
    """

    pairs: Sequence[Pair]
    size: int | None
    mode: Literal["L", "RGB"] = "L"
    more: Callable[[Pair, dict[str, Any]], dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, index: int) -> str:
        return self.pairs[index].name

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.pairs[index]
        members = [*pair.templates, *([pair.target] if pair.target else [])]
        images = [member.read(self.mode) for member in members]
        for member, image in zip(members, images, strict=True):
            if image.shape != images[0].shape:
                size, expected = (f"{i.shape[2]}x{i.shape[1]}" for i in (image, images[0]))
                raise DataError(
                    f"{member.path}: is {size} pixels but {members[0].path} is {expected}; "
                    "templates and image must have one shape"
                )
        images = list(blot_input(torch.cat(images), self.size).split(len(images[0])))
        target = images.pop() if pair.target else torch.zeros_like(images[0])
        item = {"image": torch.cat(images), "target": target, "name": pair.name, "index": index}
        return item if self.more is None else item | self.more(pair, item)


class BlotDataModule(ImageDataModule):
    """Training, held-out and prediction batches of blots, or other images, with their templates.

    Batches hold ``image`` float32 ``(N, T, size, size)``, all templates, and ``target`` ``(N, C,
    size, size)`` in [-1, 1], ``name`` and ``index``, see `BlotDataset`. The pairs are split into
    ``folds`` parts, of which ``fold`` is held out: by membrane where ``groups.csv`` is there,
    because crops of one membrane overlap and a random split would leak.

    Args:
        template_count: how many templates an image has; null counts them.
        channels: "gray", "rgb", or "auto": color where any of the first images has some.
        size: side in px that images are resized to.
        folds: parts of the split; null holds out the given validation images, or one part of 5.
        eval_batch_size: pairs in a batch of validation, test and prediction; changes no result.
        **kwargs: see `ImageDataModule`; 0 workers are fastest, because the pixels are in memory.

    Raises:
        DataError: see `ImageDataModule`.
    """

    draw_sample = draw_sample

    def __init__(
        self,
        *args: Any,
        template_count: PositiveInt | None = None,
        channels: Literal["auto", "gray", "rgb"] = "auto",
        size: ImageSide = 64,
        folds: PositiveInt | None = None,
        eval_batch_size: PositiveInt = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, folds=folds or 5, **kwargs)
        self.eval_batch_size, self.size = eval_batch_size, size
        self.membranes: dict[str, int] = {}  # number by stem, once the pairs are split
        self.template_count = 0 if template_count is None else int(template_count)
        given = bool(self.data_dir) and self.folder.is_dir()  # not where a model is only used
        if given and not folds and find_roles(self.folder, "val"):
            self.folds = None
        if template_count is None or channels == "auto":
            pairs = [] if self.data_dir is None else self._pairs(self.folder)
            self.template_count = self.template_count or (len(pairs[0].templates) if pairs else 2)
            colored = any(has_color(one.target.read("RGB")) for one in pairs[:16] if one.target)
            channels = "rgb" if channels == "rgb" or (channels == "auto" and colored) else "gray"
        # What was found is kept in checkpoints.
        found = {"template_count": self.template_count, "channels": channels}
        self.hparams.update(found, folds=self.folds and int(self.folds))
        self.mode: Literal["L", "RGB"] = "RGB" if channels == "rgb" else "L"
        depth = 3 if self.mode == "RGB" else 1
        self.pixel_channels = (depth * self.template_count, depth)  # of templates and image

    def make_dataset(self, pairs: Sequence[Pair], size: int | None) -> BlotDataset:
        """Items of some of the pairs."""
        return BlotDataset(pairs, size, self.mode)

    def setup(self, stage: str) -> None:
        """Build the data sets; all but those of ``predict`` are read here and kept in memory.

        Raises:
            DataError: see `find_pairs` and `read_table`; too few membranes.
        """
        if stage == "predict" and self.predict_dir is not None:
            pairs = self._checked(find_templates(expand(self.predict_dir)))
            self.predict_set = self.make_dataset(pairs, self.size)
        elif stage == "test" and self.test_dir is not None:
            root = expand(self.test_dir)
            self.test_set = self._cached(self._pairs(root, "test") or self._pairs(root))
        elif stage in ("test", "predict") and (pairs := self._pairs(self.folder, "test")):
            self.test_set = self.predict_set = self._cached(pairs)
        else:
            self.refuse_to_score_all(stage)
            train, held_out = self._split()
            if stage == "fit":
                self.train_set = self._cached(train)
            if stage == "test":
                rank_zero_info("the held-out pairs, which chose the checkpoint, are not a test set")
            if held_out:
                self.val_set = self._cached(held_out)
            self.test_set = self.predict_set = self.val_set

    def _cached(self, pairs: Sequence[Pair]) -> CachedDataset:
        return CachedDataset(self.make_dataset(pairs, self.size), device=self.cache_device)

    def _pairs(self, root: Path, split: Literal["train", "val", "test"] = "train") -> list[Pair]:
        """Those of a split; none where it is not given."""
        roles = find_roles(root, split)
        return [] if roles is None else self._checked(find_pairs(root, roles[1], roles[0]))

    def _checked(self, pairs: list[Pair]) -> list[Pair]:
        count, given = self.template_count, pairs[0].templates
        if count not in (0, len(given)):
            raise DataError(
                f"{given[0].path.parent}: {len(given)} templates an image; the model takes {count}"
            )
        return pairs

    def _split(self) -> tuple[list[Pair], list[Pair]]:
        """Training and held-out pairs."""
        pairs = self._pairs(self.folder)
        groups, table = {pair.stem: pair.stem for pair in pairs}, self.folder / "groups.csv"
        if by_membrane := table.is_file():
            known = {row.name: row.label for row in read_table(table, ["ID", "membrane"])}
            if without := [stem for stem in groups if not known.get(stem)]:
                raise DataError(f"{table}: no membrane for {without[0]} ({len(without)} such IDs)")
            groups = {stem: known[stem] for stem in groups}
        names = sorted(set(groups.values()))
        self.membranes = {stem: names.index(group) for stem, group in groups.items()}
        if self.trains_on_all:
            train, held_out, how = pairs, [], self.split_description
        elif self.folds is None:
            train, held_out, how = pairs, self._pairs(self.folder, "val"), ", split as given"
        else:
            if len(names) < self.folds:
                raise DataError(
                    f"{self.folder}: {len(names)} {'membranes' if by_membrane else 'pairs'} "
                    f"do not fill {self.folds} folds; lower data.folds or add data"
                )
            fold_of = assign_folds(list(groups.values()), self.folds, self.seed)
            held_out = [pairs[i] for i in np.flatnonzero(fold_of == self.fold)]
            train = [pairs[i] for i in np.flatnonzero(fold_of != self.fold)]
            how = ", split " + ("by membrane" if by_membrane else "at random: no groups.csv")
        color = "color" if self.mode == "RGB" else "gray"
        files = f"{color}, {', '.join(map(str, pairs[0].templates))} to {pairs[0].target}"
        counts = f"{len(train)} training and {len(held_out)} held-out pairs{how}"
        rank_zero_info(f"{self.data_source}: {files}; {counts}")
        return train, held_out

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment training pairs, each by its own draw."""
        if self.augmentation is None or self.trainer is None or not self.trainer.training:
            return batch
        pairs = torch.cat([batch["image"], batch["target"]], dim=1)
        pixels = torch.stack([self.augmentation(pair) for pair in pairs.float()])
        count = batch["image"].shape[1]
        made = {**batch, "image": pixels[:, :count], "target": pixels[:, count:]}
        return self.in_precision(made)


def measured_style(item: dict[str, Any]) -> Tensor:
    """Style ``(8,)`` of an item's ``target``, whose bands are where the first template has them."""
    pixels = ((item["target"][0] + 1) * 127.5).round().byte()
    return torch.from_numpy(measure_style(pixels.numpy(), (item["image"][0] < 0).numpy()))


def add_style(
    pair: Pair, item: dict[str, Any], asked: Tensor, membranes: dict[str, int]
) -> dict[str, Any]:
    """``style``, measured or asked for, and ``membrane`` of an item; see `BlotDataset`."""
    style = asked if pair.target is None else measured_style(item)
    return {"style": style, "membrane": membranes.get(pair.stem, -1)}


class StyledBlotDataModule(BlotDataModule):
    """`BlotDataModule` whose batches have ``style`` and ``membrane`` too.

    ``style`` float32 ``(N, 8)``, in the order of `blot_style.NAMES`, is measured on the target (the
    augmented one in training). In prediction it is what the user sets and NaN elsewhere; there
    templates keep their own size, one pair a batch, and ``sample`` int64 ``(N,)`` numbers the blots
    of a pair from 1, or is 0 for the only one.

    Args:
        style: of the blots that ``predict`` makes; what is null is drawn.
        style_from: image of a blot whose style they take where ``style`` is null.
        samples: blots for each pair of templates in ``predict``.
        kwargs: see `BlotDataModule`.

    Raises:
        DataError: see `BlotDataModule`; a style outside its range.
    """

    def __init__(
        self,
        style: BlotStyle = BlotStyle(),
        style_from: str | None = None,
        samples: PositiveInt = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.pixel_channels != (2, 1):
            raise DataError(
                f"data: {self.hparams['channels']} images of {self.template_count} template(s); "
                "styles are of gray blots with two; train with --config configs/blots.yaml"
            )
        self.style, self.style_from, self.samples = style, style_from, samples
        self._asked = torch.from_numpy(style.vector())

    def make_dataset(self, pairs: Sequence[Pair], size: int | None) -> BlotDataset:
        more = partial(add_style, asked=self._asked, membranes=self.membranes)
        return BlotDataset(pairs, size, self.mode, more)

    def setup(self, stage: str) -> None:
        """See `BlotDataModule.setup`.

        Raises:
            DataError: also where ``style_from`` cannot be read.
        """
        super().setup(stage)
        if stage == "predict":
            if self.style_from is not None:
                example = measure_style(read_image(expand(self.style_from), "L")[0].numpy())
                self._asked = torch.from_numpy(self.style.vector(example))
            predicted: Any = self.predict_set
            pairs = getattr(predicted, "dataset", predicted).pairs
            # What is asked for replaces the style of blots that are there.
            blank = [pair._replace(target=None) for pair in pairs for _ in range(self.samples)]
            self.predict_set = self.make_dataset(blank, None)
            self.eval_batch_size = 1  # each may have a size of its own

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment training pairs and measure them again; number the blots of a pair."""
        if self.trainer is not None and self.trainer.predicting:
            sample = batch["index"] % self.samples + (self.samples > 1)
            return {**batch, "sample": sample}
        augmented = super().on_after_batch_transfer(batch, dataloader_idx)
        if augmented is batch:
            return batch
        images, targets = (augmented[key].float().cpu() for key in ("image", "target"))
        pairs = zip(images, targets, strict=True)
        styles = [measured_style({"image": image, "target": target}) for image, target in pairs]
        return {**augmented, "style": torch.stack(styles).to(batch["style"])}
