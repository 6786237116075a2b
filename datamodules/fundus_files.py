"""Finds fundus photographs and what is drawn of them, as sets lie on disk, and splits them.

One place knows the layouts of `docs/data.md`: DRIVE, HRF, FIVES and other folders of photographs
beside folders of drawings; CHASE_DB1 and STARE with all files in one folder; photographs alone.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from common.errors import DataError
from datamodules.folds import ALL, fold_split
from datamodules.images import list_images, say

TEST_FRACTION = 0.2  # of the photographs, where no test photographs are given
# Names of folders, in any case.
SPLITS = {"training": "train(ing)?", "validation": "val(id(ation)?)?", "test": "test(ing)?"}
IMAGES = "images?|originals?|stare.images"
# Names of folders of drawings, and what their files' names end in where all are in one folder.
DRAWN = {
    "vessels": "1st.manual|1stHO|manual1?|masks|labels?(.ah)?|ah|ground.?truth|gt|vessels?",
    "fov": "mask|fov",
    "second": "2nd.manual|2ndHO|manual2|labels.vk|vk",
}
WORDS = {"vessels": "vessels", "fov": "field of view", "second": "2nd observer"}
LAYOUTS = (
    "images/ beside 1st_manual/, masks/ or labels/, in training/ and test/ or in neither, or "
    "Image_01L.jpg beside Image_01L_1stHO.png, or im0001.ppm beside im0001.ah.ppm; see docs/data.md"
)


@dataclass(frozen=True)
class FundusFiles:
    """The files of one photograph; None where the folder does not have that part.

    Args:
        image: the photograph.
        vessels: of the first observer.
        fov: the field of view.
        second: vessels of the second observer.
        root: what ``name`` is relative to, by default the image's folder.
    """

    image: Path
    vessels: Path | None = None
    fov: Path | None = None
    second: Path | None = None
    root: Path | None = None

    @property
    def name(self) -> str:
        """The image's file name, or its path below ``root``."""
        return self.image.relative_to(self.root or self.image.parent).as_posix()


Files = list[FundusFiles]


class FundusSet(NamedTuple):
    """What a folder holds: its layout in words, and the given splits or one that is "undivided"."""

    layout: str
    splits: dict[str, Files]


def _stem(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem


def _key(path: Path) -> str:
    """What an image and its masks have in common: ``21`` of ``21_training``, ``21_manual1``..."""
    ends = "|".join(["training", "test", *DRAWN.values()])
    return re.sub(rf"(?i)([_.]({ends}))+$", "", _stem(path))


def _role(path: Path) -> str | None:
    """Which of `DRAWN` the end of a file's name says that it is; None for a photograph."""
    ends = (r for r, names in DRAWN.items() if re.search(rf"(?i)[_.]({names})$", _stem(path)))
    return next(ends, None)


def _folder(parent: Path, names: str) -> Path | None:
    """The first folder of such a name that holds more than hidden files."""
    named = (path for path in sorted(parent.glob("*/")) if re.fullmatch(f"(?i){names}", path.name))
    return next((path for path in named if any(path.glob("[!.]*"))), None)


def _by_key(keyed: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for key, path in keyed:
        if (other := found.setdefault(key, path)) != path:
            raise DataError(f"{other} and {path}: two files for '{key}'; keep one of them")
    return found


def _pair(images: dict[str, Path], drawn: Sequence[Path]) -> dict[str, Path]:
    """The drawing of each photograph, by the photograph's key.

    Names end in one of `DRAWN`, or in anything behind the photograph's name and a separator.
    """

    def image_of(path: Path) -> str:
        key = _key(path)
        begun = [k for k in images if key.startswith(k) and not key[len(k) :][:1].isalnum()]
        if not begun:
            image = next(iter(images.values()), path).parent / key
            raise DataError(f"{path}: has no image {image}*; add it or remove the mask")
        return max(begun, key=len)

    found = _by_key((image_of(path), path) for path in drawn)
    for key in images.keys() - found.keys() if found else ():
        mask = drawn[0].parent / key
        raise DataError(f"{images[key]}: has no mask {mask}*; add it or remove the image")
    return found


def _read_split(folder: Path) -> tuple[str, Files]:
    """The layout of a split in words, and its photographs with what belongs to each by name."""
    inner = _folder(folder, IMAGES)
    paths = list_images(inner or folder)
    if inner:
        folders = {role: _folder(folder, names) for role, names in DRAWN.items()}
        drawn = {role: list_images(part) if part else [] for role, part in folders.items()}
    else:
        drawn = {role: [path for path in paths if _role(path) == role] for role in DRAWN}
        paths = [path for path in paths if _role(path) is None]
    words = [f"{inner.name}/" if inner else f"{len(paths)} photographs"]
    for role, found in drawn.items():
        if found:
            name = f"{found[0].parent.name}/" if inner else found[0].name
            words.append(f"{name} ({WORDS[role]})")
    images = _by_key((_key(path), path) for path in paths)
    parts = {role: _pair(images, found) for role, found in drawn.items()}
    every = [FundusFiles(path, *(parts[r].get(key) for r in DRAWN)) for key, path in images.items()]
    return ", ".join(words), every


def find_photographs(data_dir: Path, seed: int | None = None) -> FundusSet:
    """The photographs of a folder by split. Drawings are optional, but complete if there are any.

    Args:
        data_dir: the folder.
        seed: draws training and test photographs where no split is given.

    Raises:
        DataError: no such folder, no photograph; an image without its mask or a mask without its
            image; two files for one name.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder")
    layout, splits = list[str](), dict[str, Files]()
    for split, names in SPLITS.items():
        if folder := _folder(data_dir, names):
            words, splits[split] = _read_split(folder)
            layout.append(f"{folder.name}/: {words}")
    if splits:
        return FundusSet("; ".join(layout), splits)
    try:
        words, files = _read_split(data_dir)
    except DataError as error:
        if "holds no image" not in str(error):
            raise
        words = "photographs in folders below"
        files = [FundusFiles(path, root=data_dir) for path in list_images(data_dir, recursive=True)]
    if seed is None:
        return FundusSet(words, {"undivided": files})
    count = max(1, round(TEST_FRACTION * len(files)))
    training, test = _draw(files, count, seed) if len(files) > 2 else (files, files)
    return FundusSet(f"{words}; no given split", {"training": training, "test": test})


def plain_images(folder: Path, recursive: bool) -> Files:
    """The photographs of a plain folder, or a single one.

    Files and folders that are named as drawings are left out where there is anything else.

    Raises:
        DataError: no image there, or two of the same stem, whose outputs would collide.
    """
    inner = None if folder.is_file() or recursive else _folder(folder, IMAGES)
    paths = list_images(inner or folder, recursive)
    folders = f"(?i){'|'.join(DRAWN.values())}"
    drawn = [path for path in paths if _role(path) or re.fullmatch(folders, path.parent.name)]
    kept = sorted({*paths} - {*drawn}) or paths
    _by_key((path.with_name(_stem(path)).as_posix(), path) for path in kept)
    if len(kept) < len(paths):
        say(f"{folder}: {len(drawn)} drawings left out, as {drawn[0].relative_to(folder)}")
    root = folder.parent if folder.is_file() else inner or folder
    return [FundusFiles(path, root=root) for path in kept]


def _by_person(files: Files) -> list[Files]:
    """Both eyes of a person together: ``Image_01L.jpg`` and ``Image_01R.jpg``, ``_OD``, ``_OS``."""
    persons: dict[str, Files] = {}
    for one in files:
        eye = r"(?i)((?<=\d)[LR]|[_-](L|R|OD|OS|left|right))$"
        persons.setdefault(re.sub(eye, "", _key(one.image)), []).append(one)
    return list(persons.values())


def _draw(files: Files, count: int, seed: int) -> tuple[Files, Files]:
    """The rest, and ``count`` photographs or a few more: both eyes of a person stay together."""
    persons, drawn = _by_person(files), set[FundusFiles]()
    for person in torch.randperm(len(persons), generator=torch.Generator().manual_seed(seed)):
        if len(drawn) < count:
            drawn.update(persons[int(person)])
    return [one for one in files if one not in drawn], [one for one in files if one in drawn]


def training_split(
    folder: Path, val_size: int, seed: int, folds: int | None = None, fold: Any = None
) -> tuple[Files, Files]:
    """Training and validation images, those that are given or ``val_size`` drawn by ``seed``.

    Both eyes of a person stay together. With ``folds``, the part ``fold`` of so many in place of
    ``val_size`` images; with fold "all" none.

    Raises:
        DataError: no training folder, or too few images in it.
    """
    layout, splits = find_photographs(folder, seed)
    files, own = splits.get("training"), splits.get("validation", [])
    if files is None:
        raise DataError(f"{folder}: training photographs are not there, only {layout}")
    if fold == ALL:
        return [*files, *own], []
    if folds is not None:
        persons = _by_person([*files, *own])
        parts = fold_split(folder, folds, fold, seed, len(persons))
        train, val = ([one for i in part for one in persons[i]] for part in parts)
        return train, val
    if own:
        return files, own
    if not 0 < val_size < (count := len(_by_person(files))):
        raise DataError(
            f"{folder}: {len(files)} training images of {count} persons, so data.val_size is 1 "
            f"to {count - 1}, not {val_size}"
        )
    return _draw(files, val_size, seed)
