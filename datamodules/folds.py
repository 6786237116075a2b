"""Cross-validation: which samples train, and which are held out."""

from typing import Any, Literal

import numpy as np
from jsonargparse.typing import NonNegativeInt

from common.errors import DataError

# The held-out fold, counted from 0; "all" trains on every sample and holds none out.
Fold = NonNegativeInt | Literal["all"]
ALL: Literal["all"] = "all"


def check_fold(folds: int | None, fold: Any) -> None:
    """Refuse folds that do not go together.

    Args:
        folds: parts of the split; None: the data module splits otherwise.
        fold: the held-out one, see `Fold`.

    Raises:
        DataError: one fold, a fold without folds, or one that is not there.
    """
    if folds == 1:
        raise DataError("data.folds: must be 2 or more, not 1")
    if fold == ALL:
        return
    if folds is None and fold:
        raise DataError(f"data.fold: fold {fold} of how many? Give data.folds, such as 5")
    if folds is not None and fold >= folds:
        raise DataError(f"data.fold: fold {fold} of {folds} folds; they are counted from 0")


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

    splitter = KFold if labels is None else StratifiedKFold
    try:
        parts = splitter(folds, shuffle=True, random_state=seed).split(np.zeros(count), labels)
        return list(parts)[fold]
    except ValueError as error:
        raise DataError(f"{where}: {error} Lower data.folds or add images.") from None
