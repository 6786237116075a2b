"""Figures and tables of the vessel task: curves, image rows, errors, precision and recall."""

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_dtype

from callbacks.figures.held_out import HeldOutFigures, draw_curves, figure, write_rows
from datamodules.fundus_files import FundusFiles
from datamodules.fundus_masks import read_mask
from datamodules.images import read_image
from datamodules.transforms.field_of_view import estimate_fov
from experiment.metric_names import main_metrics
from experiment.plotting import (
    BLUE,
    INK,
    SKY,
    VERMILION,
    YELLOW,
    image_grid,
    reference_line,
    show_image,
)
from experiment.run_results import RunResults

# Between bins of probability, for the precision-recall curve: even in the logit, because most of
# the background has a probability close to 0.
EDGES = torch.linspace(-12, 12, 801).sigmoid()


@dataclass(frozen=True)
class ImageResult:
    """What is remembered of one photograph; maps are ``(H, W)`` at the size of its file.

    The scored region is the field of view where its mask exists, else the full image.

    Attributes:
        index: position in the data set.
        probability: float32; None if the photograph is not shown.
        inside: bool, the scored region; likewise.
        counts: pixels inside by truth and bin of probability ``(2, len(EDGES) + 1)``.
        hits, misses, false_alarms: pixels inside.
    """

    index: int
    probability: Tensor | None
    inside: Tensor | None
    counts: Tensor
    hits: int
    misses: int
    false_alarms: int


class VesselFigures(HeldOutFigures):
    """Loss and Dice by epoch, image rows, errors in three colors, precision-recall; a table.

    ``validation_step`` and ``test_step`` return ``probability``, a map for each photograph.

    Args:
        images: photographs that are shown; all of them are scored.
    """

    def __init__(self, images: int = 4) -> None:
        super().__init__()
        self.images = images
        self.threshold = 0.5  # the module's, from the first batch on

    def keep(
        self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]
    ) -> list[ImageResult]:
        self.threshold = float(trainer.lightning_module.inference.threshold)  # type: ignore[union-attr, arg-type]
        part: list[ImageResult] = []
        maps, truths, fovs = outputs["probability"], batch["native_target"], batch["native_fov"]
        for p, truth, fov, index in zip(maps, truths, fovs, batch["index"].tolist(), strict=True):
            truth = truth[0].bool()
            inside = torch.ones_like(truth) if fov is None else fov[0].bool()
            called = p > self.threshold
            bins = torch.bucketize(p[inside], EDGES.to(p.device), right=True)
            bins += (len(EDGES) + 1) * truth[inside]
            shown = sum(len(part) for part in kept) + len(part) < self.images
            part.append(
                ImageResult(
                    index,
                    p.float().cpu() if shown else None,
                    inside.cpu() if shown else None,
                    torch.bincount(bins, minlength=2 * len(EDGES) + 2).view(2, -1).cpu(),
                    int((called & truth & inside).sum()),
                    int((~called & truth & inside).sum()),
                    int((called & ~truth & inside).sum()),
                )
            )
        return part

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        scores = main_metrics("vessels", "val", results.by_epoch)
        draw_curves(trainer, results, scores[0] if scores else "")

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        every = [one for part in kept for one in part]
        data = trainer.datamodule  # type: ignore[attr-defined]
        files = (data.test_set if prefix else data.val_set).files
        _write_photographs(trainer, every, files, f"{prefix}photographs")
        shown = [one for one in every if one.probability is not None]
        self._draw_rows(trainer, shown, files, f"{prefix}rows", where)
        self._draw_overlay(trainer, shown, files, f"{prefix}overlay", where)
        self._draw_precision_recall(trainer, every, f"{prefix}precision_recall", where)

    def _maps(self, one: ImageResult, own: FundusFiles) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Photograph, probability, prediction and truth of one that is shown."""
        assert one.probability is not None
        assert one.inside is not None
        assert own.vessels is not None
        photograph = to_dtype(read_image(own.image, "RGB"), torch.float32, scale=True)
        probability = one.probability * one.inside
        truth = read_mask(own.vessels, own.image, photograph.shape[-2:])[0]
        return photograph, probability, probability > self.threshold, truth

    def _draw_rows(
        self,
        trainer: pl.Trainer,
        shown: list[ImageResult],
        files: list[FundusFiles],
        name: str,
        where: str,
    ) -> None:
        title = f"Photograph, probability, prediction and truth ({where})"
        estimated = "" if files[0].fov else ", estimated because there is no mask of it"
        caption = f"The blue line is the field of view{estimated}."
        size = (7.2, 1.82 * len(shown) + 0.3)
        with figure(trainer, name, size, title, caption) as fig:
            for row, one in zip(image_grid(fig, len(shown), 4), shown, strict=True):
                maps = self._maps(one, files[one.index])
                names = ("photograph", "probability", "prediction", "truth")
                for axes, image, word in zip(row, maps, names, strict=True):
                    show_image(axes, image, word if one is shown[0] else "")
                row[0].contour(_fov(files[one.index]), [0.5], colors=SKY, linewidths=0.8)

    def _draw_overlay(
        self,
        trainer: pl.Trainer,
        shown: list[ImageResult],
        files: list[FundusFiles],
        name: str,
        where: str,
    ) -> None:
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Patch

        columns = min(2, len(shown))
        lines = -(-len(shown) // columns)
        title = f"Hits, misses and false alarms ({where})"
        caption = "Drawn over the dimmed photograph, inside the scored region."
        size = (3.6 * columns, 3.85 * lines + 0.35)
        with figure(trainer, name, size, title, caption) as fig:
            panels = [axes for row in image_grid(fig, lines, columns) for axes in row]
            for axes, one in zip(panels, shown, strict=False):
                photograph, _, called, truth = self._maps(one, files[one.index])
                assert one.inside is not None
                picture = 0.6 * photograph.mean(dim=0, keepdim=True).expand(3, -1, -1).clone()
                for pixels, color in (
                    (called & truth, SKY),
                    (~called & truth, VERMILION),
                    (called & ~truth, YELLOW),
                ):
                    picture[:, pixels & one.inside] = torch.tensor(to_rgb(color))[:, None]
                show_image(axes, picture, files[one.index].image.name)
            keys = (("hit", SKY), ("miss", VERMILION), ("false alarm", YELLOW))
            fig.legend(
                handles=[Patch(color=color, label=label) for label, color in keys],
                loc="outside lower center",
                ncols=3,
            )

    def _draw_precision_recall(
        self, trainer: pl.Trainer, every: list[ImageResult], name: str, where: str
    ) -> None:
        counts = torch.stack([one.counts for one in every]).sum(dim=0).double()
        false_alarms, hits = counts.flip(1).cumsum(dim=1)  # called vessel from this bin upwards
        some = hits + false_alarms > 0
        precision = hits[some] / (hits + false_alarms)[some]
        recall = hits[some] / hits[-1].clamp_min(1)
        average = float((recall.diff(prepend=torch.zeros(1)) * precision).sum())
        chance = float(hits[-1] / counts.sum().clamp_min(1))
        caption = (
            f"Average precision {average:.3f}; chance is {chance:.3f}, the fraction of vessel "
            f"pixels. The diamond is the threshold in use, {self.threshold:g}."
        )
        title = f"Precision and recall of vessel pixels ({where})"
        with figure(trainer, name, (5.4, 4.2), title, caption) as fig:
            axes = fig.subplots()
            axes.plot(recall.numpy(), precision.numpy(), color=BLUE)
            reference_line(axes, chance, "chance")
            called = sum(one.hits + one.false_alarms for one in every)
            found = sum(one.hits for one in every)
            truth = sum(one.hits + one.misses for one in every)
            at = found / max(1, truth), found / max(1, called)
            axes.plot(*at, "D", color=INK, ms=8, clip_on=False)
            axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")


def _fov(own: FundusFiles) -> Tensor:
    """As the network gets it, bool ``(H, W)`` of the photograph's size."""
    pixels = read_image(own.image, "RGB")
    if own.fov is None:
        return torch.from_numpy(estimate_fov(pixels.permute(1, 2, 0).numpy()))
    return read_mask(own.fov, own.image, pixels.shape[-2:], full=True)[0].as_subclass(Tensor)


def _write_photographs(
    trainer: pl.Trainer, every: list[ImageResult], files: list[FundusFiles], name: str
) -> None:
    """Scores of each photograph and of all pixels together; the second observer's beside them."""
    rows, second = [], []
    total = torch.zeros(4, dtype=torch.long)
    for one in every:
        own = files[one.index]
        pixels = int(one.counts.sum())
        rest = pixels - one.hits - one.misses - one.false_alarms
        counts = torch.tensor([one.hits, one.misses, one.false_alarms, rest])
        total += counts
        second.append(_second_observer(own))
        rows.append([own.image.name, *_scores(counts), *_scores(second[-1])[:1]])
    rows.append(["all", *_scores(total), *_scores(sum(second, torch.zeros(4)))[:1]])
    header = ["photograph", "Dice", "sensitivity", "specificity", "precision", "vessel fraction"]
    if any(counts.any() for counts in second):
        header.append("Dice of the second observer")
    write_rows(trainer, name, header, [row[: len(header)] for row in rows])


def _scores(counts: Tensor) -> list[str]:
    """Dice, sensitivity, specificity, precision and vessel fraction; "" where there is none."""
    hits, misses, alarms, rest = counts.tolist()
    ratios = (
        (2 * hits, 2 * hits + misses + alarms),
        (hits, hits + misses),
        (rest, rest + alarms),
        (hits, hits + alarms),
        (hits + misses, hits + misses + alarms + rest),
    )
    return [f"{above / below:.4f}" if below else "" for above, below in ratios]


def _second_observer(own: FundusFiles) -> Tensor:
    """Hits, misses, false alarms and the other pixels of the second observer; 0 if not drawn."""
    if own.second is None or own.vessels is None:
        return torch.zeros(4)
    size = read_image(own.image, "L").shape[-2:]
    truth, called = (read_mask(path, own.image, size) for path in (own.vessels, own.second))
    inside = read_mask(own.fov, own.image, size, full=True) if own.fov else True
    parts = (called & truth, ~called & truth, called & ~truth, ~(called | truth))
    return torch.tensor([int((part & inside).sum()) for part in parts])
