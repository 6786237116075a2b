"""Vessel maps scored under every protocol in use, beside the second human observer.

    python cli.py predict --config configs/vessels_best.yaml --ckpt_path best \\
        --data.data_dir ../shared/data/DRIVE
    python benchmarks/vessel_protocols.py runs/vessels_best/<run>/predictions/DRIVE \\
        --data_dir ../shared/data/DRIVE

Published figures differ in the region (inside the field of view, or the full image with its black
corners, which are easy) and in the mean (over all pixels, or over images). The same maps are scored
in all four ways here, with the code that `test` uses. Needs no network and no training.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize
from torch import Tensor
from vessel_drawings import drawn

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.fundus_files import FundusFiles, find_photographs
from lit_models.metrics.vessel_scores import REGIONS, SCORES, VesselScores

PROTOCOLS = {"pooled": "pooled", "image mean": "image_mean"}
THIN = 3.0  # px; vessels up to this width are called thin


def thin_vessels(truth: np.ndarray) -> np.ndarray:
    """Those pixels of ``truth`` that belong to vessels at most `THIN` px wide.

    The width at a point of the skeleton is twice its distance from the background, less 1 (a line
    of one pixel has distance 1 and width 1); every vessel pixel has the width of the nearest point
    of the skeleton.
    """
    distance = ndimage.distance_transform_edt(truth)
    skeleton = skeletonize(truth)
    nearest = ndimage.distance_transform_edt(~skeleton, return_indices=True, return_distances=False)
    return truth & (2 * distance[tuple(nearest)] - 1 <= THIN)


class Protocols:
    """Scores of one set of maps, added image by image."""

    def __init__(self) -> None:
        self.scores = VesselScores()
        self.thin_found = self.thin_total = 0

    def add(self, probability: Tensor, mask: Tensor, truth: Tensor, fov: Tensor | None) -> None:
        """One image: float32, and thrice bool, ``(H, W)``; ``mask`` is the thresholded map."""
        # Below 0.5 where not called and above where called, in the same order: so the scores of
        # the mask and the AUROC of the map come from one tensor.
        ordered = torch.where(
            mask, 0.5 + probability.double() / 2, probability.double() / 2
        ).float()
        self.scores.update(ordered, truth[None], None if fov is None else fov[None])
        thin = torch.from_numpy(thin_vessels(truth.numpy()))
        self.thin_found += int((thin & mask).sum())
        self.thin_total += int(thin.sum())

    def rows(self) -> dict[str, dict[str, float]]:
        """Score by protocol name."""
        found: dict[str, dict[str, float]] = {}
        values = self.scores.compute()
        for region in REGIONS:
            for protocol, suffix in PROTOCOLS.items():
                if f"{region}/dice_{suffix}" in values:  # an image has the region
                    row = {s: float(values[f"{region}/{s}_{suffix}"]) for s in SCORES}
                    found[f"{region.replace('_', ' ')}, {protocol}"] = row
        return found

    @property
    def thin_sensitivity(self) -> float:
        """Share of the pixels of thin vessels that were found, over all images."""
        return self.thin_found / max(self.thin_total, 1)


def read_maps(folder: Path, files: FundusFiles) -> tuple[Tensor, Tensor]:
    """Probability float32 and mask bool ``(H, W)`` that `predict` wrote for a photograph."""
    paths = (folder / f"{files.image.stem}_{kind}.png" for kind in ("probability", "mask"))
    probability, mask = (np.asarray(Image.open(path)) for path in paths)
    return torch.from_numpy(probability.astype(np.float32) / 65535), torch.from_numpy(mask > 0)


def table(methods: dict[str, Protocols]) -> str:
    """All scores as Markdown."""
    lines = ["| maps | protocol | " + " | ".join(SCORES) + " |", "|---" * (len(SCORES) + 2) + "|"]
    for name, method in methods.items():
        for protocol, scores in method.rows().items():
            # One operating point has no curve.
            cells = [
                "-" if s == "auroc" and "observer" in name else f"{scores[s]:.4f}" for s in SCORES
            ]
            lines.append(f"| {name} | {protocol} | " + " | ".join(cells) + " |")
    lines += ["", f"Sensitivity on thin vessels (up to {THIN:g} px wide), pooled: "]
    lines[-1] += ", ".join(f"{name} {m.thin_sensitivity:.4f}" for name, m in methods.items())
    return "\n".join(lines)


def main() -> None:
    """Score a folder of predictions, and the second observer, on the test split."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("predictions", type=Path, help="folder that `cli.py predict` wrote")
    parser.add_argument("--data_dir", type=Path, required=True, help="in the layout of DRIVE")
    args = parser.parse_args()
    test = find_photographs(args.data_dir).splits["test"]
    methods = {"predictions": Protocols()}
    for files in test:
        first, second, inside = drawn(files)
        truth, fov = torch.from_numpy(first), torch.from_numpy(inside) if files.fov else None
        methods["predictions"].add(*read_maps(args.predictions, files), truth, fov)
        if second is not None:
            human, mask = (
                methods.setdefault("second observer", Protocols()),
                torch.from_numpy(second),
            )
            human.add(mask.float(), mask, truth, fov)
    print(f"{len(test)} test images of {args.data_dir}\n\n{table(methods)}")


if __name__ == "__main__":
    main()
