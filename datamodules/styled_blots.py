"""Western blots with the style that was measured on them, or that they shall have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jsonargparse.typing import PositiveInt

from common.errors import DataError
from common.paths import expand
from datamodules.blot_files import Pair
from datamodules.blot_style import BlotStyle, measure_style
from datamodules.blots import BlotDataModule, BlotDataset
from datamodules.images import read_image


@dataclass(eq=False)
class StyledBlotDataset(BlotDataset):
    """`BlotDataset` whose items have ``style`` float32 ``(8,)`` and ``membrane``, a number.

    The style is measured on the target; where that is missing it is ``asked``.

    Args:
        pairs, size, mode: see `BlotDataset`.
        membranes: number of each, by stem; others are -1.
        asked: style with NaN in place of what is to be drawn.
    """

    membranes: dict[str, int] = field(default_factory=dict)
    asked: np.ndarray = field(default_factory=BlotStyle().vector)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item, pair = super().__getitem__(index), self.pairs[index]
        style = torch.from_numpy(self.asked) if pair.target is None else measured_style(item)
        return {**item, "style": style, "membrane": self.membranes.get(pair.stem, -1)}


def measured_style(item: dict[str, Any]) -> torch.Tensor:
    """Style ``(8,)`` of an item's ``target``, whose bands are where the first template has them."""
    pixels = ((item["target"][0] + 1) * 127.5).round().byte()
    return torch.from_numpy(measure_style(pixels.numpy(), (item["image"][0] < 0).numpy()))


class StyledBlotDataModule(BlotDataModule):
    """`BlotDataModule` whose batches have ``style`` and ``membrane`` too.

    ``style`` float32 ``(N, 8)``, in the order of `blot_style.NAMES`, is measured on the target (the
    augmented one in training). In prediction it is what the user sets and NaN elsewhere; there
    templates keep their own size, one pair a batch, and ``sample`` int64 ``(N,)`` numbers the blots
    of a pair from 1, or is 0 for the only one.

    Args:
        style: of the blots that ``predict`` makes; what is null is drawn.
        style_from: image of a blot whose style they shall have, but for what ``style`` sets.
        samples: blots for each pair of templates in ``predict``.
        kwargs: see `BlotDataModule`.

    Raises:
        DataError: see `BlotDataModule`; a style outside its range.
    """

    def __init__(
        self,
        style: BlotStyle = BlotStyle(),
        style_from: str | None = None,
        samples: PositiveInt = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.pixel_channels != (2, 1):
            color = "color" if self.mode == "RGB" else "gray"
            raise DataError(
                f"data: {color} images of {self.template_count} template(s); styles are of gray "
                "blots with two; train with --config configs/blots.yaml"
            )
        self.style, self.style_from, self.samples = style, style_from, samples

    def make_dataset(self, pairs: Sequence[Pair], size: int | None) -> BlotDataset:
        names = sorted({*self.membrane_of.values()})
        number = {stem: names.index(name) for stem, name in self.membrane_of.items()}
        return StyledBlotDataset(pairs, size, membranes=number)

    def setup(self, stage: str) -> None:
        """See `BlotDataModule.setup`.

        Raises:
            DataError: also where ``style_from`` cannot be read.
        """
        super().setup(stage)
        if stage == "predict":
            example = None
            if self.style_from is not None:
                example = measure_style(read_image(expand(self.style_from), "L")[0].numpy())
            predicted: Any = self.predict_set
            pairs = getattr(predicted, "dataset", predicted).pairs
            # What is asked for replaces the style of blots that are there.
            blank = [pair._replace(target=None) for pair in pairs for _ in range(self.samples)]
            self.predict_set = StyledBlotDataset(blank, None, asked=self.style.vector(example))
            self.eval_batch_size = 1  # each may have a size of its own

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment training pairs and measure them again; number the blots of a pair."""
        if self.trainer is not None and self.trainer.predicting:
            sample = batch["index"] % self.samples + (self.samples > 1)
            return {**batch, "sample": sample}
        augmented = super().on_after_batch_transfer(batch, dataloader_idx)
        if augmented is batch:
            return batch
        images, targets = (augmented[key].float().cpu() for key in ("image", "target"))
        pairs = zip(images, targets, strict=True)
        styles = [measured_style({"image": image, "target": target}) for image, target in pairs]
        return {**augmented, "style": torch.stack(styles).to(batch["style"])}
