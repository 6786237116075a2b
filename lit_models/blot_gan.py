"""Western blots from two templates: a conditional GAN, optimized by hand.

Reference method: convolutional generator and discriminator, BCE, Adam at 2e-4 for both, batch 1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.cli import OptimizerCallable
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from lit_models.base import ImageModule, wrap_optimizer_errors
from lit_models.losses.adversarial import BCEAdversarialLoss
from lit_models.metrics.image_scores import BlotScores, image_means
from lit_models.networks.styled_blot_discriminator import DiffAugment
from lit_models.optim.schedules import StepSchedule, StepScheduler, total_steps
from lit_models.postprocessing.pixels import to_gray

UPDATES = 2  # of D and of G, with each batch


def update(module: pl.LightningModule, optimizer: LightningOptimizer, loss: Tensor) -> None:
    """One step of a toggled optimizer on a scalar loss, in manual optimization."""
    optimizer.zero_grad()
    module.manual_backward(loss)
    optimizer.step()


class BlotGAN(ImageModule):
    """Generator (G) and discriminator (D), updated in turn: a step is one update of D and one of G.

    Lightning counts both: ``global_step`` and ``trainer.max_steps`` are twice the batches.
    The schedules are stepped after each batch. Gradient clipping and accumulation are refused.
    Batches hold ``image``, templates ``(N, T, H, W)``, ``target`` ``(N, C, H, W)``, in [-1, 1].

    Args:
        generator, discriminator: networks for T and C: blots; logits of templates and blots.
        adversarial_loss: of the logits.
        generator_optimizer, discriminator_optimizer: optimizers for their parameters.
        reconstruction_loss: of generated and real blots, added to G's loss; null adds none.
        discriminator_augmentation: of the templates and blots that D sees; null changes nothing.
        lr_scheduler: of both optimizers; null leaves the learning rates as they are.
        channels: T and C, found by the data module.
    """

    lr_scheduler: StepSchedule | None

    def __init__(
        self,
        generator: Callable[[int, int], nn.Module],
        discriminator: Callable[[int, int], nn.Module],
        adversarial_loss: BCEAdversarialLoss,
        generator_optimizer: OptimizerCallable,
        discriminator_optimizer: OptimizerCallable,
        reconstruction_loss: nn.Module | None = None,
        discriminator_augmentation: DiffAugment | None = None,
        lr_scheduler: StepSchedule | None = None,
        channels: tuple[int, int] = (2, 1),
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)  # of whole networks
        self.automatic_optimization = False
        self.generator, self.discriminator = generator(*channels), discriminator(*channels)
        self.adversarial_loss, self.reconstruction_loss = adversarial_loss, reconstruction_loss
        self.augmentation, self.lr_scheduler = discriminator_augmentation, lr_scheduler
        self.optimizer_of = (generator_optimizer, discriminator_optimizer)
        self.train_scores = image_means("d_loss", "g_loss")
        self.val_scores, self.test_scores = BlotScores(), BlotScores()

    def forward(self, templates: Tensor) -> Tensor:
        """Blots ``(N, C, H, W)`` in [-1, 1] for templates ``(N, T, H, W)``."""
        return self.generator(templates).float()

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        templates, real = batch["image"], batch["target"]
        g_optimizer, d_optimizer = cast(list[LightningOptimizer], self.optimizers())
        fake = self.generator(templates)

        with self.toggled_optimizer(d_optimizer):
            d_loss = self.adversarial_loss.discriminator(
                self._discriminate(templates, real), self._discriminate(templates, fake.detach())
            )
            update(self, d_optimizer, d_loss)

        with self.toggled_optimizer(g_optimizer):
            g_loss = self.adversarial_loss.generator(self._discriminate(templates, fake))
            error = self.reconstruction_loss(fake.float(), real) if self.reconstruction_loss else 0
            update(self, g_optimizer, g_loss + error)
        return self._end_step(d_loss, g_loss, len(real))

    def _discriminate(self, templates: Tensor, images: Tensor) -> Tensor:
        if self.augmentation is not None:
            templates, images = self.augmentation(templates, images)
        return self.discriminator(templates, images)

    def _end_step(self, d_loss: Tensor, g_loss: Tensor, count: int) -> dict[str, Tensor]:
        for scheduler in cast(list[LRScheduler], self.lr_schedulers() or []):
            scheduler.step()
        losses = {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}
        for name, loss in losses.items():
            self.train_scores[name].update(loss, count)
        # log() takes half a millisecond a value, so it is called for what Lightning writes alone.
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and self.global_step // UPDATES % every == 0:
            self.log_dict({f"train/{k}_step": loss for k, loss in losses.items()}, sync_dist=True)
        return losses

    def evaluate(self, batch: dict[str, Any], scores: BlotScores) -> dict[str, Any]:
        templates, real = batch["image"], batch["target"]
        fake = self(templates)
        logits = (self.discriminator(templates, images.to(templates)) for images in (real, fake))
        return {"image": fake, "scores": scores.update(fake, real, *logits)}

    def predict_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """``name``, ``index``, and ``image``: blots as uint8 ``(N, C, H, W)``."""
        image = to_gray(self(batch["image"]))
        return {"name": batch["name"], "index": batch["index"], "image": image}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        made = []
        for name, make in zip(("generator", "discriminator"), self.optimizer_of, strict=True):
            with wrap_optimizer_errors(f"model.{name}_optimizer"):
                made.append(make(self.get_submodule(name).parameters()))
        if self.lr_scheduler is None:
            return made
        steps = partial(total_steps, self.trainer, updates=UPDATES)
        with wrap_optimizer_errors("model.lr_scheduler"):
            return made, [StepScheduler(one, self.lr_scheduler, steps) for one in made]
