"""Files of the layout of the course set of Western blots, see `datamodules.blots`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import DataError
from datamodules.images import list_images
from datamodules.label_tables import read_header, read_table


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
        DataError: a file whose partner is missing, and what `list_members` raises.
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


def read_groups(path: Path, stems: Sequence[str]) -> list[str]:
    """Membrane of each stem, from a CSV with columns ``ID,membrane``; extra IDs are ignored.

    Raises:
        DataError: a column is missing, a stem has no membrane, and what `read_table` raises.
    """
    columns = ["ID", "membrane"]
    if not set(columns) <= set(read_header(path)[1]):
        raise DataError(f"{path}: needs the columns {','.join(columns)}; name them so")
    table = read_table(path, columns)
    groups = dict(zip(table["name"], table["label"], strict=True))
    without = [stem for stem in stems if not groups.get(stem)]
    if without:
        raise DataError(f"{path}: no membrane for {without[0]} ({len(without)} such IDs); add them")
    return [groups[stem] for stem in stems]


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
