"""Cross-validation: which samples train, and which are held out."""

import logging
import warnings
from typing import Any, Literal

import numpy as np
from jsonargparse.typing import NonNegativeInt

from common.errors import DataError

log = logging.getLogger(__name__)

# The held-out fold, counted from 0; "all" trains on every sample and holds none out.
Fold = NonNegativeInt | Literal["all"]
ALL: Literal["all"] = "all"


def fold_split(
    where: Any, folds: int, fold: int, seed: int, count: int, labels: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted positions of the training and the held-out samples, int64.

    scikit-learn's ``KFold`` or, with labels, ``StratifiedKFold``, shuffled by ``seed``.

    Args:
        where: the samples are from, for messages.
        folds: parts of the split.
        fold: the held-out one.
        seed: of the shuffle.
        count: of samples.
        labels: class of each sample, an array ``(count,)``; each fold gets its share of each class.

    Raises:
        DataError: more folds than samples, or than samples of any class.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    sizes = np.array([count]) if labels is None else np.unique(labels, return_counts=True)[1]
    if sizes.max() < folds:
        what = "training images" if labels is None else "images of a class"
        raise DataError(f"{where}: {sizes.max()} {what} for {folds} folds; lower data.folds")
    if sizes.min() < folds:
        log.warning("%s: a class of %d images is absent from some folds", where, sizes.min())
    splitter = KFold if labels is None else StratifiedKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn's, of that class
        parts = splitter(folds, shuffle=True, random_state=seed).split(np.zeros(count), labels)
        return list(parts)[fold]
