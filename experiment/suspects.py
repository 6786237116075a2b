"""Images whose label contradicts what was predicted while they were held out, and near-duplicates.

In the folder of a cross-validation: ``suspects.csv``, ``suspects.png``, ``duplicates.csv``.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from common.paths import expand
from datamodules.aoi_files import find_images
from datamodules.images import read_image
from datamodules.preprocessing import resize_square
from datamodules.synthetic.aoi import draw_sample
from datamodules.synthetic.cache import cached_sample
from experiment.atomic import write_table
from experiment.plotting import figure, image_grid, show_image

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MARGIN = 0.3  # of a class's mean self-confidence
SHOWN = 24  # images on the contact sheet
SIDE, ALIKE = 16, 0.995  # px of what is compared, correlation of near-duplicates
MOST = 20_000  # images that are compared with each other


def find_suspects(images: "pd.DataFrame") -> "pd.DataFrame":
    """Images that were held out and predicted as another class, by a margin; the clearest first.

    In the manner of confident learning (Northcutt et al. 2021, arXiv 1911.00068): how sure a
    network has to be is measured by the mean probability that it gives a class's own images. The
    condition is weaker: the predicted class exceeds the label by `MARGIN` of that, whatever
    its own probability.

    Args:
        images: rows with ``ID``, ``label``, the position of the class, and ``p(<class>)`` for each;
            of several runs the mean is taken.

    Returns:
        ``ID``, ``label`` and ``predicted``, names; ``probability`` of the predicted class and
        ``label_probability``; ``score``, their difference in units of the self-confidence.
    """
    import pandas as pd

    means = images.drop(columns="run").groupby("ID", sort=False).mean()
    columns = [name for name in means.columns if name.startswith("p(")]
    names = np.array([name[2:-1] for name in columns])
    p, label = means[columns].to_numpy(), means["label"].to_numpy().astype(int)
    own, predicted = p[np.arange(len(p)), label], p.argmax(axis=1)
    count = np.bincount(label, minlength=len(names)).clip(1)
    confidence = np.bincount(label, own, minlength=len(names)) / count
    score = (p.max(axis=1) - own) / confidence[predicted].clip(1e-6)
    found = pd.DataFrame(
        {
            "ID": means.index,
            "label": names[label],
            "predicted": names[predicted],
            "probability": p.max(axis=1),
            "label_probability": own,
            "score": score,
        }
    )
    return found[score > MARGIN].sort_values("score", ascending=False, ignore_index=True)


def find_duplicates(pixels: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs of images whose small copies ``(N, side, side)`` correlate by more than `ALIKE`."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-6)
    found = []
    for start in range(0, len(flat), 1000):
        alike = flat[start : start + 1000] @ flat.T
        rows, columns = np.nonzero(alike > ALIKE)
        found += [
            (start + int(i), int(j), float(alike[i, j]))
            for i, j in zip(rows, columns, strict=True)
            if start + i < j
        ]
    return found


def write_suspects(folder: Path, images: "pd.DataFrame", data: dict[str, Any]) -> list[str]:
    """Write the tables and the contact sheet of a classifier's cross-validation.

    Args:
        folder: of the cross-validation.
        images: see `find_suspects`.
        data: settings of the data module.

    Returns:
        Lines of Markdown for the report.
    """
    suspects = find_suspects(images)
    values = [[f"{x:.4f}" if isinstance(x, float) else x for x in row] for row in suspects.values]
    write_table(folder / "suspects.csv", list(suspects.columns), values)
    given = data.get("data_dir")
    top = cached_sample(draw_sample, 0) if given is None else expand(given)
    files = find_images(top, "train", data.get("table"), data.get("columns"))
    assert files is not None
    if len(suspects):
        rows = -(-min(len(suspects), SHOWN) // 6)
        title = f"Labels that contradict their images ({len(suspects)})"
        with figure(folder / "suspects.png", (10.8, 2.15 * rows), title) as fig:
            panels = [axes for row in image_grid(fig, rows, 6) for axes in row]
            for axes, one in zip(panels, suspects.itertuples(), strict=False):
                pixels = read_image(files.folder / str(one.ID), "RGB")
                text = f"label {one.label}\npredicted {one.predicted} {100 * one.probability:.0f} %"
                show_image(axes, resize_square(pixels, 112) / 255, text)
    held_out = images.drop_duplicates("ID")
    names, folds = held_out["ID"].tolist(), held_out["run"].tolist()
    pairs = []
    if len(names) <= MOST:
        small = [resize_square(read_image(files.folder / name, "L"), SIDE)[0] for name in names]
        found = find_duplicates(torch.stack(small).numpy())
        pairs = [
            (names[i], folds[i], names[j], folds[j], f"{alike:.4f}")
            for i, j, alike in found
            if folds[i] != folds[j]
        ]
    write_table(folder / "duplicates.csv", ("ID", "run", "other", "run", "correlation"), pairs)
    lines = [
        f"{len(suspects)} labels contradict what was predicted while the image was held out: "
        "suspects.csv. Look at them first.",
        f"{len(pairs)} pairs of near-duplicates lie in different folds, which flatters the scores: "
        "duplicates.csv.",
    ]
    sheet = ["", "![Suspects](suspects.png)"] if len(suspects) else []
    return ["", *lines, *sheet, ""]
