"""Figures of the vessel task: curves, image rows, an overlay of errors, IoU, precision-recall."""

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_dtype

from callbacks.figures.held_out import HeldOutFigures, figure
from datamodules.fundus_files import FundusFiles
from datamodules.fundus_masks import read_mask
from datamodules.images import read_image
from datamodules.transforms.field_of_view import estimate_fov
from experiment.plotting import (
    BLUE,
    INK,
    SKY,
    VERMILION,
    YELLOW,
    image_grid,
    mark_best,
    plot_by_epoch,
    reference_line,
    show_image,
)
from experiment.run_results import RunResults
from experiment.tasks import TASKS

# Between bins of probability, for the precision-recall curve: even in the logit, for most of the
# background has a probability close to 0.
EDGES = torch.linspace(-12, 12, 801).sigmoid()


@dataclass(frozen=True)
class ImageResult:
    """What is remembered of one photograph; maps are ``(H, W)`` at the size of its file.

    The region that is scored is the field of view where its mask exists, else the full image.

    Attributes:
        index: position in the data set.
        probability: float32; None if the photograph is not shown.
        inside: bool, the region that is scored; likewise.
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
    """Loss and IoU by epoch, image rows, errors in three colors, IoU compared, precision-recall.

    ``validation_step`` and ``test_step`` return ``probability``, a map for each photograph.

    Args:
        images: photographs that are shown; all of them count.
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
        names = ("val/fov/iou_pooled", "val/full_image/iou_pooled")
        name = next((name for name in names if name in results.by_epoch), names[0])
        iou, best = results.by_epoch.get(name, {}), results.best_epoch
        region = "in the field of view" if "fov" in name else "of the full image"
        caption = f"The best epoch is {best}, by {results.monitor}." if best else ""
        with figure(trainer, "curves", (7.2, 3), "Loss and vessel IoU by epoch", caption) as fig:
            left, right = fig.subplots(1, 2)
            left.set_title("Loss")
            plot_by_epoch(left, results.by_epoch["train/loss"], "train", BLUE)
            plot_by_epoch(left, results.by_epoch.get("val/loss", {}), "validation", VERMILION)
            left.legend()
            right.set_title(f"Vessel IoU {region}")
            plot_by_epoch(right, iou, "validation", VERMILION)
            if best in iou:
                mark_best(right, best, iou[best], f"{iou[best]:.3f}, epoch {best}")

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        every = [one for part in kept for one in part]
        data = trainer.datamodule  # type: ignore[attr-defined]
        files = (data.test_set if prefix else data.val_set).files
        self._draw_rows(trainer, every, files, prefix, where)
        self._draw_overlay(trainer, every, files, prefix, where)
        self._draw_iou(trainer, every, files, prefix, where)
        self._draw_precision_recall(trainer, every, prefix, where)

    def _maps(self, one: ImageResult, own: FundusFiles) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Photograph, probability, prediction and truth of one that is shown."""
        assert one.probability is not None
        assert one.inside is not None
        assert own.vessels is not None
        photograph = to_dtype(read_image(own.image, "RGB"), torch.float32, scale=True)
        probability = one.probability * one.inside
        truth = read_mask(own.vessels, own.image, photograph.shape[-2:])[0]
        return photograph, probability, probability > self.threshold, truth

    @staticmethod
    def _fov(own: FundusFiles) -> Tensor:
        """As the network gets it, bool ``(H, W)`` of the photograph's size."""
        pixels = read_image(own.image, "RGB")
        if own.fov is None:
            return torch.from_numpy(estimate_fov(pixels.permute(1, 2, 0).numpy()))
        return read_mask(own.fov, own.image, pixels.shape[-2:], full=True)[0].as_subclass(Tensor)

    def _draw_rows(
        self,
        trainer: pl.Trainer,
        every: list[ImageResult],
        files: list[FundusFiles],
        prefix: str,
        where: str,
    ) -> None:
        shown = [one for one in every if one.probability is not None]
        title = f"Photograph, probability, prediction and truth ({where})"
        found = "" if files[0].fov else ", which was found, for there is no mask of it"
        caption = f"The line is the field of view{found}."
        size = (7.2, 1.82 * len(shown) + 0.3)
        with figure(trainer, f"{prefix}rows", size, title, caption) as fig:
            for row, one in zip(image_grid(fig, len(shown), 4), shown, strict=True):
                maps = self._maps(one, files[one.index])
                names = ("photograph", "probability", "prediction", "truth")
                for axes, image, name in zip(row, maps, names, strict=True):
                    show_image(axes, image, name if one is shown[0] else "")
                row[0].contour(self._fov(files[one.index]), [0.5], colors=SKY, linewidths=0.8)

    def _draw_overlay(
        self,
        trainer: pl.Trainer,
        every: list[ImageResult],
        files: list[FundusFiles],
        prefix: str,
        where: str,
    ) -> None:
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Patch

        shown = [one for one in every if one.probability is not None]
        columns = min(2, len(shown))
        lines = -(-len(shown) // columns)
        title = f"Hits, misses and false alarms ({where})"
        hits, misses = sum(one.hits for one in every), sum(one.misses for one in every)
        alarms = sum(one.false_alarms for one in every)
        caption = (
            f"Over all {len(every)} photographs, {hits / max(1, hits + misses):.1%} of the vessel "
            f"pixels are found and {alarms / max(1, hits + alarms):.1%} of the pixels called "
            "vessel are none."
        )
        size = (3.6 * columns, 3.85 * lines + 0.35)
        with figure(trainer, f"{prefix}overlay", size, title, caption) as fig:
            panels = [axes for row in image_grid(fig, lines, columns) for axes in row]
            for axes, one in zip(panels, shown, strict=False):
                _, _, called, truth = self._maps(one, files[one.index])
                assert one.inside is not None
                picture = torch.zeros(*truth.shape, 3)
                picture[one.inside] = torch.tensor(to_rgb("#22262B"))
                for where_, color in (
                    (called & truth, SKY),
                    (~called & truth, VERMILION),
                    (called & ~truth, YELLOW),
                ):
                    picture[where_ & one.inside] = torch.tensor(to_rgb(color))
                show_image(axes, picture.permute(2, 0, 1), files[one.index].image.name)
            keys = (("hit", SKY), ("miss", VERMILION), ("false alarm", YELLOW))
            fig.legend(
                handles=[Patch(color=color, label=label) for label, color in keys],
                loc="outside lower center",
                ncols=3,
            )

    def _draw_iou(
        self,
        trainer: pl.Trainer,
        every: list[ImageResult],
        files: list[FundusFiles],
        prefix: str,
        where: str,
    ) -> None:
        reference = TASKS["vessels"].reference["val/full_image/iou_pooled"].value
        hits = sum(one.hits for one in every)
        ours = hits / max(1, hits + sum(one.misses + one.false_alarms for one in every))
        bars = [(f"this run\n{where}", ours, BLUE)]
        second = self._second_observer(every, files)
        if second is not None:
            bars.append(("second observer\nsame photographs", second, SKY))
        bars.append(("reference on DRIVE\nits own test", reference, "#C9D1D9"))
        sample = trainer.datamodule.is_sample  # type: ignore[attr-defined]
        caption = (
            "IoU of the vessel pixels of all photographs together, in the field of view where its "
            "masks exist. The reference does not say whether its 0.351 is of the vessels alone or "
            "a mean with the background"
            + (", and it was measured on DRIVE, not on these drawings." if sample else ".")
        )
        size = (7.2, 0.62 * len(bars) + 0.8)
        title = f"Vessel IoU beside the reference's ({where})"
        with figure(trainer, f"{prefix}iou", size, title, caption) as fig:
            axes = fig.subplots()
            axes.set_title("Vessel IoU")
            for row, (_, value, color) in enumerate(bars):
                last = row == len(bars) - 1
                axes.barh(row, value, 0.62, color=color, hatch="///" if last else "", ec="white")
                axes.text(value + 0.012, row, f"{value:.3f}", va="center", weight="bold", color=INK)
            axes.set_yticks(range(len(bars)), [label for label, _, _ in bars])
            axes.tick_params(axis="y", labelcolor=INK)
            axes.invert_yaxis()
            axes.set_xlim(0, 1)
            axes.grid(False, axis="y")

    @staticmethod
    def _second_observer(every: list[ImageResult], files: list[FundusFiles]) -> float | None:
        """IoU of the second observer against the first, in the same regions; None if not drawn."""
        hits = union = 0
        for one in every:
            own = files[one.index]
            if own.second is None or own.vessels is None:
                return None
            size = read_image(own.image, "L").shape[-2:]
            first, second = (read_mask(path, own.image, size) for path in (own.vessels, own.second))
            inside = read_mask(own.fov, own.image, size, full=True) if own.fov else True
            hits += int((first & second & inside).sum())
            union += int(((first | second) & inside).sum())
        return hits / max(1, union)

    def _draw_precision_recall(
        self, trainer: pl.Trainer, every: list[ImageResult], prefix: str, where: str
    ) -> None:
        counts = torch.stack([one.counts for one in every]).sum(dim=0).double()
        false_alarms, hits = counts.flip(1).cumsum(dim=1)  # called vessel from this bin upwards
        some = hits + false_alarms > 0
        precision = hits[some] / (hits + false_alarms)[some]
        recall = hits[some] / hits[-1].clamp_min(1)
        average = float((recall.diff(prepend=torch.zeros(1)) * precision).sum())
        share = float(hits[-1] / counts.sum().clamp_min(1))
        caption = (
            f"Average precision {average:.3f}; chance is {share:.3f}, the share of vessel pixels. "
            f"The diamond is the threshold in use, {self.threshold:g}."
        )
        title = f"Precision and recall of vessel pixels ({where})"
        with figure(trainer, f"{prefix}precision_recall", (5.4, 4.2), title, caption) as fig:
            axes = fig.subplots()
            axes.set_title(f"Precision and recall, {where}")
            axes.plot(recall.numpy(), precision.numpy(), color=BLUE)
            reference_line(axes, share, "chance")
            called = sum(one.hits + one.false_alarms for one in every)
            found = sum(one.hits for one in every)
            truth = sum(one.hits + one.misses for one in every)
            axes.plot(
                [found / max(1, truth)],
                [found / max(1, called)],
                "D",
                color=INK,
                ms=8,
                clip_on=False,
            )
            axes.set_xlim(0, 1.02)
            axes.set_ylim(0, 1.02)
            axes.set_xlabel("recall")
            axes.set_ylabel("precision")
