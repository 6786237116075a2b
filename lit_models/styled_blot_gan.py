"""Western blots in a given style, that look like photographs of real ones."""

from typing import Any, ClassVar, cast

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from common.ranges import NonNegativeFinite
from lit_models.blot_gan import BlotGAN, update
from lit_models.metrics.image_scores import BlotScores
from lit_models.networks.styled_blot_discriminator import StyledBlotDiscriminator
from lit_models.networks.styled_blot_generator import (
    StyledBlotGenerator,
    blot_seeds,
    complete_styles,
    seeded_blots,
)
from lit_models.postprocessing.pixels import to_gray


class StyledBlotGAN(BlotGAN):
    """`BlotGAN` whose networks are told the style of the blot, see `datamodules.blot_style`.

    Gray levels, blur and grain are not in the templates; as an input they need not be guessed. Some
    templates of a batch are generated a second time, in another blot's style, which D alone sees.

    Batches also have ``style`` ``(N, 8)``, and ``membrane`` in training; in prediction ``style``
    may be NaN and ``sample`` numbers the blots of a pair. The training's styles are kept in the
    buffer ``style_bank``, from which prediction draws.

    Args:
        generator, discriminator: blots without and with grain; what it sees, and logits of that.
        spectrum_loss: of blots with grain and the real ones; null adds none.
        adversarial_weight: of G's adversarial loss.
        num_style_swaps: templates of a batch that are generated in another style too.
        style_bank_size: training blots whose style is kept.
        centering_blots: training blots, at most, by which D's ``middle`` is set.
        kwargs: see `BlotGAN`; its reconstruction loss is of blots without grain, which is random.
    """

    needs: ClassVar[tuple[str, ...]] = ("image", "style")  # of a batch

    generator: StyledBlotGenerator
    discriminator: StyledBlotDiscriminator
    style_bank: Tensor

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        spectrum_loss: nn.Module | None = None,
        adversarial_weight: NonNegativeFinite = 4.0,
        num_style_swaps: NonNegativeInt = 4,
        style_bank_size: PositiveInt = 1024,
        centering_blots: PositiveInt = 160,
        **kwargs: Any,
    ) -> None:
        super().__init__(lambda *_: generator, lambda *_: discriminator, **kwargs)
        self.spectrum_loss = spectrum_loss
        self.adversarial_weight, self.num_style_swaps = adversarial_weight, num_style_swaps
        self.centering_blots, self._centering = centering_blots, list[Tensor]()
        self.register_buffer("style_bank", torch.zeros(style_bank_size, 9))
        self.style_bank[:, 0] = -1  # no membrane

    def forward(self, templates: Tensor, styles: Tensor | None = None) -> Tensor:
        """Blots ``(N, 1, H, W)`` in [-1, 1] for templates and styles; None draws them."""
        if styles is None:
            asked, first = templates.new_full((len(templates), 8), torch.nan), [0] * len(templates)
            styles = complete_styles(asked, templates, first, self.style_bank)
        return self.generator(templates, styles)[1]

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        templates, real, styles = batch["image"], batch["target"], batch["style"]
        rows = torch.cat([batch["membrane"][:, None].to(styles), styles], 1)
        self.style_bank[batch["index"] % len(self.style_bank)] = rows
        g_optimizer, d_optimizer = cast(list[LightningOptimizer], self.optimizers())
        n, again = len(real), slice(self.num_style_swaps)
        all_templates = torch.cat([templates, templates[again]])
        all_styles = torch.cat([styles, styles.roll(1, 0)[again]])
        clean, fake = self.generator(all_templates, all_styles)
        real_view = self.discriminator.view(templates, styles, real)
        fake_view = self.discriminator.view(all_templates, all_styles, fake)

        with self.toggled_optimizer(d_optimizer):
            logits = self._score(torch.cat([real_view, fake_view.detach()]))
            d_loss = self.adversarial_loss.discriminator(logits[:n], logits[n:])
            update(self, d_optimizer, d_loss)

        with self.toggled_optimizer(g_optimizer):
            g_loss = self.adversarial_loss.generator(self._score(fake_view))
            loss = self.adversarial_weight * g_loss
            if self.reconstruction_loss is not None:
                loss = loss + self.reconstruction_loss(clean[:n], real)
            if self.spectrum_loss is not None:
                loss = loss + self.spectrum_loss(fake[:n], real)
            update(self, g_optimizer, loss)
        return self._end_step(d_loss, g_loss, n)

    def _score(self, view: Tensor) -> Tensor:
        if self.augmentation is not None:
            view = torch.cat(self.augmentation(view[:, :-1], view[:, -1:]), 1)
        return self.discriminator.score(view)

    def on_validation_epoch_start(self) -> None:
        """Cut D's logits between those of training blots and of blots generated in their style."""
        # A running mean over training batches would lag: one step of D moves all logits by more
        # than the distance of real and generated blots.
        trainer = self.trainer
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if not self._centering:
            data = trainer.train_dataloader.dataset  # type: ignore[union-attr]
            items = [data[i] for i in range(0, len(data), -(-len(data) // self.centering_blots))]
            keys = ("image", "style", "target")
            self._centering = [torch.stack([item[key] for item in items]) for key in keys]
        logits = []
        parts = (x.to(self.device).split(40) for x in self._centering)
        for templates, styles, real in zip(*parts, strict=True):
            fake = seeded_blots(self.generator, templates, styles)[1]
            logits.append([self.discriminator(templates, styles, x) for x in (real, fake)])
        self.discriminator.set_middle(*map(torch.cat, zip(*logits, strict=True)))

    def evaluate(self, batch: dict[str, Any], scores: BlotScores) -> dict[str, Any]:
        templates, real, styles = batch["image"], batch["target"], batch["style"]
        fake = seeded_blots(self.generator, templates, styles)[1]
        logits = (self.discriminator(templates, styles, images) for images in (real, fake))
        return {"image": fake, "scores": scores.update(fake, real, *logits)}

    def predict_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """As `BlotGAN.predict_step`, with ``style``, ``sample`` and ``seed`` of each blot.

        ``clean`` has no grain, gray levels 0 to 255; ``bands`` is template 1; both ``(N, H, W)``.
        """
        templates, sample = batch["image"], batch["sample"]
        number = (sample - 1).clamp_min(0).tolist()
        styles = complete_styles(batch["style"], templates, number, self.style_bank)
        clean, blots = seeded_blots(self.generator, templates, styles, number)
        known = {"clean": ((clean[:, 0] + 1) * 127.5).clamp(0, 255), "bands": templates[:, 0] < 0}
        known |= {"seed": blot_seeds(templates, number), "style": styles, "sample": sample}
        return {"name": batch["name"], "index": batch["index"], "image": to_gray(blots), **known}
