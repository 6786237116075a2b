"""A figure of the same blot templates in several styles."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.figures.blots import draw_table
from callbacks.figures.held_out import HeldOutFigures
from datamodules.blot_style import NAMES
from experiment.run_results import RunResults
from lit_models.postprocessing.styled_blots import complete_styles, generate_styled


class BlotStyleFigures(HeldOutFigures):
    """``styles``: rows are held-out templates, columns are styles of training blots.

    Needs a `StyledBlotGAN`.

    Args:
        templates: rows.
        styles: columns.
    """

    def __init__(self, templates: int = 4, styles: int = 6) -> None:
        super().__init__()
        self.templates, self.styles = templates, styles

    def keep(self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]) -> Any:
        """Templates float32 ``(n, 2, H, W)``."""
        missing = self.templates - sum(len(part) for part in kept)
        return batch["image"][:missing].float().cpu() if missing > 0 else None

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        """Nothing: `BlotFigures` does."""

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        templates = torch.cat(kept)[: self.templates]
        module: Any = trainer.lightning_module
        blots, styles = blots_in_styles(module, templates.to(module.device), self.styles)
        first = ((templates[:, :1] + 1) * 127.5).round().to(torch.uint8)
        table = torch.cat([first, blots.cpu()], dim=1)
        columns = ["template 1", *(_label(style) for style in styles)]
        title = f"The same templates in styles of training blots, gray of paper / bands ({where})"
        draw_table(trainer, table[:, :, None], columns, f"{prefix}styles", title)


def blots_in_styles(module: Any, templates: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Blots uint8 ``(N, count, H, W)`` of templates ``(N, 2, H, W)``, and styles ``(count, 8)``.

    The styles are those drawn for the first pair, one of a membrane each.
    """
    unset = templates.new_full((count, 8), torch.nan)
    number = torch.arange(count)
    first = templates[:1].expand(count, -1, -1, -1)
    training = module.training
    module.eval()
    with torch.no_grad():
        styles = complete_styles(unset, first, number, module.style_bank)
        rows = [
            generate_styled(module.generator, pair.expand_as(first), styles, number)[:, 0]
            for pair in templates
        ]
    module.train(training)
    return torch.stack(rows), styles


def _label(style: Tensor) -> str:
    values = dict(zip(NAMES, style.tolist(), strict=True))
    return f"{values['paper']:.0f} / {values['band']:.0f}"
