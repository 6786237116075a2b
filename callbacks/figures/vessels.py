"""Figures and tables of the vessel task: curves, vessels and errors, scores of each photograph."""

from typing import Any

import pytorch_lightning as pl
import torch
from torchvision.transforms.v2.functional import to_dtype

from callbacks.figures.held_out import HeldOutFigures, figure
from callbacks.run_recorder import run_folder
from datamodules.fundus_input import read_masks
from datamodules.images import read_image
from datamodules.transforms.field_of_view import estimate_fov
from experiment.atomic import write_table
from experiment.plotting import SKY, VERMILION, YELLOW, image_grid, show_image

SHOWN = 4  # photographs
SCORES = {"dice": "Dice", "sensitivity": "sensitivity", "specificity": "specificity"}
ERRORS = {"hit": SKY, "miss": VERMILION, "false alarm": YELLOW}


class VesselFigures(HeldOutFigures):
    """Loss and Dice by epoch; field of view, vessels, errors of some photographs; a table of all.

    ``validation_step`` and ``test_step`` return ``probability``, a map for each photograph, and
    ``scores``, see `VesselScores.update`.
    """

    def keep(self, outputs: Any, batch: Any, count: int) -> list[Any]:
        """Place, `SCORES` and map of each photograph; no map of those that are not shown.

        Scores are of the field of view where its mask exists, else of the full image.
        """
        scores = outputs["scores"]
        region = "fov" if "fov/dice_image_mean" in scores else "full_image"
        columns = [scores[f"{region}/{name}_image_mean"].tolist() for name in SCORES]
        shown = outputs["probability"][: max(0, SHOWN - count)]
        maps = [x.float().cpu() for x in shown] + [None] * (len(columns[0]) - len(shown))
        return list(zip(batch["index"].tolist(), zip(*columns, strict=True), maps, strict=True))

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Patch

        data = trainer.datamodule  # type: ignore[attr-defined]
        files = (data.test_set if prefix else data.val_set).files
        every = [(files[place], *more) for place, *more in kept]
        rows = [(own.name, *(f"{x:.4f}" for x in scores)) for own, scores, _ in every]
        table = run_folder(trainer) / "figures" / f"{prefix}photographs.csv"
        write_table(table, ("photograph", *SCORES.values()), rows)
        shown = every[:SHOWN]
        threshold = trainer.lightning_module.inference.threshold  # type: ignore[union-attr]
        size, title = (7.2, 2.5 * len(shown) + 0.5), f"Vessels and errors ({where})"
        caption = "The line is the edge of the field of view, found where it has no mask."
        with figure(trainer, f"{prefix}vessels", size, title, caption) as fig:
            panels = image_grid(fig, len(shown), 3)
            for row, (own, _, probability) in zip(panels, shown, strict=True):
                pixels = read_image(own.image, "RGB")
                photograph = to_dtype(pixels, torch.float32, scale=True)
                truth, fov = read_masks(own, photograph.shape[-2:])
                assert truth is not None
                called = (probability > threshold)[None]
                picture = 0.6 * photograph.mean(dim=0, keepdim=True).expand(3, -1, -1).clone()
                parts = called & truth, ~called & truth, called & ~truth
                for part, color in zip(parts, ERRORS.values(), strict=True):
                    inside = part if fov is None else part & fov
                    picture[:, inside[0]] = torch.tensor(to_rgb(color))[:, None]
                show_image(row[0], photograph, own.name)
                seen = estimate_fov(pixels.permute(1, 2, 0).numpy()) if fov is None else fov[0]
                if not seen.all():
                    row[0].contour(seen, [0.5], colors=SKY, linewidths=0.8)
                show_image(row[1], probability, "probability")
                show_image(row[2], picture, "errors")
            handles = [Patch(color=color, label=label) for label, color in ERRORS.items()]
            fig.legend(handles=handles, loc="outside lower center", ncols=3)
