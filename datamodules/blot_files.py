"""Finds images with their templates as they lie on disk: one place knows the layouts.

- the course's: ``wb_dataset/``, ``wb_template/BandMask_*``, ``wb_template2/BasePattern_*``;
- ``A/`` and ``B/``: templates and images; more templates in ``A2/``, ``A3/``; with splits
  ``trainA/``, ``valA/``, ``testA/`` ... or ``A/train/`` ...;
- pix2pix's: both in one file, the template in the left half, in the folder, or in ``train/``,
  ``val/`` and ``test/``.

A role is a pattern ``folder/prefix``, with ``|left`` or ``|right`` at its end for half of a file.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from common.errors import DataError
from datamodules.images import list_images, read_image

Roles = tuple[str, tuple[str, ...]]  # patterns of the images and of their templates
COURSE: Roles = ("wb_dataset/", ("wb_template/BandMask_", "wb_template2/BasePattern_"))
LAYOUTS = (
    "wb_dataset/ with wb_template/ and wb_template2/, A/ with B/, trainA/ with trainB/, or images "
    "twice as wide as high with the template on the left; see docs/data.md"
)


class Member(NamedTuple):
    """An image in a file, or in half of one."""

    path: Path
    half: Literal["", "left", "right"] = ""

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}{self.half and f' ({self.half} half)'}"

    def read(self, mode: Literal["L", "RGB"]) -> Tensor:
        """Pixels uint8 ``(1 or 3, H, W)``.

        Raises:
            DataError: see `read_image`; halves of a file that is not twice as wide as high.
        """
        pixels = read_image(self.path, mode).as_subclass(Tensor)
        if not self.half:
            return pixels
        height, width = pixels.shape[-2:]
        if width != 2 * height:
            raise DataError(
                f"{self.path}: {width}x{height} px; template and image side by side are twice as "
                f"wide as high; expected {LAYOUTS}"
            )
        left, right = pixels.split(height, dim=-1)
        return left if self.half == "left" else right


class Pair(NamedTuple):
    """One image and its templates; ``target`` is None where it is yet to be made."""

    stem: str
    templates: tuple[Member, ...]
    target: Member | None

    @property
    def name(self) -> str:
        """Of the first template's file."""
        return self.templates[0].path.name


def find_roles(root: Path, split: Literal["train", "val", "test"] = "train") -> Roles | None:
    """Where the images of a split and their templates lie; None where that split is not given.

    Raises:
        DataError: no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder (data_dir)")
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    if folders & {"wb_dataset", "wb_template"}:
        return COURSE if split == "train" else None
    for base in (f"{split}A", f"{split}/A", f"A/{split}", *(["A"] if split == "train" else [])):
        if (root / base).is_dir():
            more = (base.replace("A", f"A{n}", 1) for n in range(2, 10))
            templates = [base, *(name for name in more if (root / name).is_dir())]
            return f"{base.replace('A', 'B', 1)}/", tuple(f"{name}/" for name in templates)
    if split in folders:
        return f"{split}/|right", (f"{split}/|left",)
    return ("|right", ("|left",)) if split == "train" else None


def _members(root: Path, pattern: str) -> dict[str, Member]:
    """Images of ``root`` by stem, for a pattern whose prefix may be empty."""
    folder, _, name = pattern.rpartition("/")
    prefix, _, half = name.partition("|")
    members: dict[str, Member] = {}
    for path in list_images(root / folder):
        if not path.name.startswith(prefix) or path.stem == prefix:
            raise DataError(f"{path}: the name must begin with {prefix!r}; rename or remove it")
        stem = path.stem.removeprefix(prefix)
        if stem in members:
            other = members[stem].path.name
            raise DataError(f"{path}: {other} has the same stem; remove one of them")
        members[stem] = Member(path, half)  # type: ignore[arg-type]
    return members


def find_pairs(root: Path, templates: Sequence[str], target: str | None) -> list[Pair]:
    """Files below ``root`` matched by stem, sorted by it.

    Args:
        root: the folder.
        templates: patterns of them.
        target: pattern of the images; None: they are yet to be made.

    Raises:
        DataError: a file whose partner is missing, a name without the prefix, two with one stem.
    """
    patterns = [*([] if target is None else [target]), *templates]
    roles = {pattern: _members(root, pattern) for pattern in patterns}
    stems = sorted(set[str]().union(*roles.values()))
    for pattern, members in roles.items():
        if missing := [stem for stem in stems if stem not in members]:
            folder, _, prefix = pattern.rpartition("/")
            raise DataError(
                f"{root / folder}: {len(missing)} of {len(stems)} images are missing, first "
                f"{prefix}{missing[0]}.*; add them or remove their partners"
            )
    images = roles[target] if target else {}
    return [
        Pair(stem, tuple(roles[pattern][stem] for pattern in templates), images.get(stem))
        for stem in stems
    ]


def find_templates(root: Path) -> list[Pair]:
    """Templates without images, in any layout; a plain folder or file holds templates, too.

    Raises:
        DataError: see `find_roles` and `find_pairs`.
    """
    if root.is_file():
        return [Pair(root.stem, (Member(root),), None)]
    roles = find_roles(root, "test") or find_roles(root)
    assert roles is not None
    pairs = find_pairs(root, roles[1], None)
    if roles[1] == ("|left",):
        height, width = read_image(pairs[0].templates[0].path, "L").shape[-2:]
        if width != 2 * height:
            return find_pairs(root, ("",), None)
    return pairs


def assign_folds(groups: list[str], folds: int, seed: int) -> np.ndarray:
    """Fold ``(N,)`` of each sample: groups stay whole, folds get about equal numbers of samples.

    The largest groups go first, each into the emptiest fold; ``seed`` orders groups of one size.
    scikit-learn's ``GroupKFold`` does the same but orders them by name: other folds, no seed.
    """
    sizes = Counter(groups)
    names = np.random.default_rng(seed).permutation(sorted(sizes))
    filled = np.zeros(folds, int)
    fold_of = {}
    for name in sorted(names, key=lambda name: -sizes[name]):
        fold_of[name] = filled.argmin()
        filled[fold_of[name]] += sizes[name]
    return np.array([fold_of[group] for group in groups])
