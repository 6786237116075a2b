"""Finds fundus photographs and what is drawn of them, as sets lie on disk.

One place knows the layouts of `docs/data.md`: DRIVE, HRF, FIVES and other folders of photographs
beside folders of drawings; CHASE_DB1 and STARE with all files in one folder; photographs alone.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from common.errors import DataError
from datamodules.images import list_images, say

Split = Literal["training", "validation", "test", "undivided"]
Role = Literal["image", "vessels", "fov", "second"]
SPLITS: dict[Split, tuple[str, ...]] = {
    "training": ("training", "train"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}
WORDS: dict[Role, str] = {"vessels": "vessels", "fov": "field of view", "second": "2nd observer"}
# Names of folders, in lower case and with spaces for _ and -; the first that is there is taken.
FOLDERS: dict[Role, tuple[str, ...]] = {
    "image": ("images", "image", "original", "originals", "stare images"),
    "vessels": (
        *("1st manual", "manual1", "manual", "masks", "labels", "label", "labels ah"),
        *("ground truth", "groundtruth", "gt", "vessels"),
    ),
    "fov": ("mask", "fov"),
    "second": ("2nd manual", "manual2", "labels vk"),
}
# Ends of file names where all files lie in one folder.
ENDS: dict[Role, str] = {
    "vessels": "1stHO|ah|manual1?|vessels?|labels?|gt",
    "fov": "mask|fov",
    "second": "2ndHO|vk|manual2",
}
END = re.compile(rf"([_.](training|test|{'|'.join(ENDS.values())}))+$", re.IGNORECASE)
LAYOUTS = (
    "images/ beside 1st_manual/, manual1/, masks/ or labels/ (in training/ and test/ if they are "
    "given), or Image_01L.jpg beside Image_01L_1stHO.png, or im0001.ppm beside im0001.ah.ppm; see "
    "docs/data.md"
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

    @property
    def person(self) -> str:
        """What the photographs of both eyes have in common: ``Image_01`` of ``Image_01L.jpg``."""
        ends = r"(?<=\d)[LR]$|[_-](L|R|OD|OS|left|right)$"
        return re.sub(ends, "", _key(self.image), flags=re.IGNORECASE)


class FundusSet(NamedTuple):
    """What a folder holds: its layout in words, and the given splits or one that is "undivided"."""

    layout: str
    splits: dict[Split, list[FundusFiles]]


def _stem(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem


def _key(path: Path) -> str:
    """What an image and its masks have in common: ``21`` of ``21_training``, ``21_manual1``..."""
    return END.sub("", _stem(path))


def _is_drawn(path: Path) -> Role | None:
    """What the end of a file's name says that it shows; None for a photograph."""
    found = (r for r, end in ENDS.items() if re.search(rf"(?i)[_.]({end})$", _stem(path)))
    return next(found, None)


def _folder(parent: Path, names: Sequence[str]) -> Path | None:
    """The first of these folders that is there and holds more than hidden files."""
    there = {_words(path): path for path in parent.glob("*") if path.is_dir()}
    found = (there[name] for name in names if name in there)
    return next((path for path in found if any(p.name[0] != "." for p in path.iterdir())), None)


def _words(path: Path) -> str:
    return re.sub("[_-]", " ", path.name.lower())


def _by_key(keyed: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for key, path in keyed:
        other = found.setdefault(key, path)
        if other != path:
            raise DataError(f"{other} and {path}: two files for '{key}'; keep one of them")
    return found


def _pair(images: dict[str, Path], drawn: Iterable[Path]) -> dict[str, Path]:
    """The drawing of each photograph, by the photograph's key.

    Names end in one of `ENDS`, or in anything behind the photograph's name and a separator.
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
        folder = next(iter(found.values())).parent
        raise DataError(
            f"{images[key]}: has no mask {folder / key}* or {key}_*; add it or remove the image"
        )
    return found


def _read_split(folder: Path) -> tuple[str, list[FundusFiles]]:
    """The layout of a split in words, and its photographs with what belongs to each by name."""
    image_folder = _folder(folder, FOLDERS["image"])
    paths = list_images(image_folder or folder)
    if image_folder:
        folders = {role: _folder(folder, FOLDERS[role]) for role in ENDS}
        drawn = {role: list_images(part) if part else [] for role, part in folders.items()}
        words = [f"{image_folder.name}/"]
    else:
        drawn = {role: [path for path in paths if _is_drawn(path) == role] for role in ENDS}
        paths = [path for path in paths if _is_drawn(path) is None]
        words = [f"{len(paths)} photographs"]
    for role, found in drawn.items():
        if found:
            name = f"{found[0].parent.name}/" if image_folder else found[0].name
            words.append(f"{name} ({WORDS[role]})")
    images = _by_key((_key(path), path) for path in paths)
    parts = {role: _pair(images, found) for role, found in drawn.items()}
    every = [FundusFiles(path, *(parts[r].get(key) for r in ENDS)) for key, path in images.items()]
    return ", ".join(words), every


def find_photographs(data_dir: Path) -> FundusSet:
    """The photographs of a folder by split. Drawings are optional, but complete if there are any.

    Raises:
        DataError: no such folder, no photograph; an image without its mask or a mask without its
            image; two files for one name.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder")
    folders = {split: _folder(data_dir, names) for split, names in SPLITS.items()}
    read = {split: _read_split(folder) for split, folder in folders.items() if folder}
    if read:
        layout = "; ".join(f"{folders[s].name}/: {words}" for s, (words, _) in read.items())  # type: ignore[union-attr]
        return FundusSet(layout, {split: files for split, (_, files) in read.items()})
    try:
        layout, files = _read_split(data_dir)
    except DataError as error:
        if "holds no image" not in str(error):
            raise
        layout = "photographs in folders below"
        files = [FundusFiles(path, root=data_dir) for path in list_images(data_dir, recursive=True)]
    return FundusSet(layout, {"undivided": files})


def plain_images(folder: Path, recursive: bool) -> list[FundusFiles]:
    """The photographs of a plain folder, or a single one; drawings beside them are left out.

    Raises:
        DataError: no image there, or two of the same stem, whose outputs would collide.
    """
    inner = None if folder.is_file() or recursive else _folder(folder, FOLDERS["image"])
    paths = list_images(inner or folder, recursive)
    photographs = {(path.parent, _key(path)) for path in paths if _is_drawn(path) is None}
    drawn_folders = {name for role in ENDS for name in FOLDERS[role]}

    def is_beside(path: Path) -> bool:
        if _is_drawn(path) and (path.parent, _key(path)) in photographs:
            return True
        named = path.parent != folder and _words(path.parent) in drawn_folders
        return named and _folder(path.parent.parent, FOLDERS["image"]) is not None

    kept = [path for path in paths if not is_beside(path)]
    _by_key((path.with_name(_stem(path)).as_posix(), path) for path in kept)
    if left_out := [path for path in paths if path not in set(kept)]:
        say(f"{folder}: {len(left_out)} drawings left out, as {left_out[0].relative_to(folder)}")
    root = folder.parent if folder.is_file() else inner or folder
    return [FundusFiles(path, root=root) for path in kept]
