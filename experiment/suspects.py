"""Labels that contradict what was predicted while the image was held out, and near-duplicates."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from common.paths import expand
from datamodules.aoi_files import find_images
from datamodules.images import read_image
from datamodules.preprocessing import resize_square
from datamodules.synthetic.aoi import draw_sample
from datamodules.synthetic.cache import cached_sample
from experiment.atomic import write_table
from experiment.plotting import figure, image_grid, show_image

MARGIN = 0.3  # of a class's mean self-confidence
SHOWN, COLUMNS = 24, 6  # images on the contact sheet, and in a row of it
SIDE, ALIKE = 16, 0.995  # px of what is compared, correlation of near-duplicates
MOST = 10_000  # images that are compared with each other


def find_suspects(images: pd.DataFrame) -> pd.DataFrame:
    """Images that were predicted as another class by a margin; the clearest first.

    In the manner of confident learning (Northcutt et al. 2021, arXiv 1911.00068): how sure a
    network has to be is measured by the mean probability that it gives a class's own images. The
    condition is weaker: the predicted class exceeds the label by `MARGIN` of that.

    Args:
        images: rows with ``ID``, ``label``, the position of the class, and ``p(<class>)`` for each;
            of several runs the mean is taken.

    Returns:
        ``ID``, ``label`` and ``predicted``, names; ``probability`` of the predicted class and
        ``label_probability``; ``score``, their difference in units of the self-confidence.
    """
    means = images.drop(columns="run").groupby("ID", sort=False).mean()
    columns = [name for name in means.columns if name.startswith("p(")]
    names = np.array([name[2:-1] for name in columns])
    p, label = means[columns].to_numpy(), means["label"].to_numpy().astype(int)
    own, most, predicted = p[np.arange(len(p)), label], p.max(axis=1), p.argmax(axis=1)
    sums, counts = (np.bincount(label, weights, len(names)) for weights in (own, None))
    score = (most - own) / (sums / counts.clip(1))[predicted].clip(1e-6)
    found = {"ID": means.index, "label": names[label], "predicted": names[predicted]}
    found |= {"probability": most, "label_probability": own, "score": score}
    table = pd.DataFrame(found).sort_values("score", ascending=False, ignore_index=True)
    return table[table["score"] > MARGIN]


def find_duplicates(pixels: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs of images whose small copies ``(N, side, side)`` correlate by more than `ALIKE`."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-6)
    alike = np.triu(flat @ flat.T, k=1)
    return [(int(i), int(j), float(alike[i, j])) for i, j in np.argwhere(alike > ALIKE)]


def write_suspects(folder: Path, images: pd.DataFrame, data: dict[str, Any]) -> list[str]:
    """Write ``suspects.csv``, a contact sheet ``suspects.png`` and ``duplicates.csv``.

    Args:
        folder: of the cross-validation of a classifier.
        images: see `find_suspects`.
        data: settings of the data module.

    Returns:
        Lines of Markdown for the report.
    """
    suspects = find_suspects(images)
    rows = [[f"{x:.4f}" if isinstance(x, float) else x for x in row] for row in suspects.values]
    write_table(folder / "suspects.csv", list(suspects.columns), rows)
    given = data.get("data_dir")
    top = cached_sample(draw_sample, 0) if given is None else expand(given)
    files = find_images(top, "train", data.get("table"), data.get("columns"))
    assert files is not None
    lines = ["", f"suspects.csv: {len(suspects)} labels contradict what was predicted."]
    if rows:
        lines += ["", "![Suspects](suspects.png)", ""]
        height = -(-min(len(rows), SHOWN) // COLUMNS)
        size = (1.8 * COLUMNS, 2.35 * height)
        with figure(folder / "suspects.png", size, "Labels that contradict their images") as fig:
            panels = [axes for row in image_grid(fig, height, COLUMNS) for axes in row]
            for axes, (name, label, predicted, p, *_) in zip(panels, rows, strict=False):
                pixels = resize_square(read_image(files.folder / name, "RGB"), 112)
                text = f"{name[-24:]}\nlabel {label}\npredicted {predicted} {p}"
                show_image(axes, pixels / 255, text)
    held_out, pairs = images.drop_duplicates("ID"), []
    if len(held_out) <= MOST:
        names, runs = held_out["ID"].tolist(), held_out["run"].tolist()
        small = [resize_square(read_image(files.folder / name, "L"), SIDE)[0] for name in names]
        for i, j, alike in find_duplicates(torch.stack(small).numpy()):
            if runs[i] != runs[j]:
                pairs.append((names[i], runs[i], names[j], runs[j], f"{alike:.4f}"))
    write_table(folder / "duplicates.csv", ("ID", "run", "other", "run", "correlation"), pairs)
    lines += [f"duplicates.csv: {len(pairs)} pairs of near-duplicates in different folds.", ""]
    return lines
