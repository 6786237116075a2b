"""Cross-validation: which samples train, and which are held out."""

from typing import Any, Literal

import numpy as np
from jsonargparse.typing import NonNegativeInt

from common.errors import DataError

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

    splitter = KFold if labels is None else StratifiedKFold
    try:
        parts = splitter(folds, shuffle=True, random_state=seed).split(np.zeros(count), labels)
        return list(parts)[fold]
    except ValueError as error:
        raise DataError(f"{where}: {error} Lower data.folds or add images.") from None
