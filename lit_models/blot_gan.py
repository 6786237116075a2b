"""Western blots from two templates: a conditional GAN, optimised by hand."""

from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torchmetrics import MeanAbsoluteError, MeanMetric, MetricCollection
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.functional.image import structural_similarity_index_measure as ssim
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from lit_models.blot_networks import Discriminator, ReferenceGenerator, UNetGenerator
from lit_models.dense_adam import DenseAdam
from lit_models.diff_augment import diff_augment
from lit_models.kid import BlotKID
from lit_models.moving_average import moving_average


def discriminator_loss(real: Tensor, fake: Tensor, kind: str = "bce") -> Tensor:
    """Sum of the real and the fake term on logits of any shape.

    ``bce`` is 2 ln 2 = 1.386 where D cannot tell them apart; ``hinge`` (arXiv:1705.02894) is 2.
    """
    real, fake = real.float(), fake.float()
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor, kind: str = "bce") -> Tensor:
    """The other side: ``bce`` is the non-saturating loss of arXiv:1406.2661, ln 2 at balance."""
    return -fake.float().mean() if kind == "hinge" else F.softplus(-fake.float()).mean()


def image_metrics() -> MetricCollection:
    """Against the real blot, both in [0, 1]. PSNR is the mean over images; SSIM has 7x7 windows."""
    return MetricCollection(
        {
            "l1": MeanAbsoluteError(),
            "psnr": PeakSignalNoiseRatio(
                data_range=(0.0, 1.0), reduction="elementwise_mean", dim=(1, 2, 3)
            ),
            "ssim": StructuralSimilarityIndexMeasure(
                data_range=(0.0, 1.0), gaussian_kernel=False, kernel_size=7
            ),
        }
    )


class BlotGAN(pl.LightningModule):
    """Generator and discriminator, updated in turn in each step.

    Two optimizers need manual optimization, with which Lightning no longer clips gradients, steps
    schedulers, or counts a batch as one step. Here ``gradient_clip_val`` takes the place of the
    trainer's, schedulers are stepped after each batch, and D's update is not counted, so that
    ``global_step`` is the number of batches and every interval in steps means batches.
    ``accumulate_grad_batches`` is refused by Lightning.

    Args:
        generator: ``reference`` or ``unet``, see ``blot_networks``.
        discriminator: ``reference`` or ``patch``.
        condition: what D sees beside the image: ``both`` templates, or ``none``.
        loss: ``bce`` or ``hinge``.
        mse_weight: of the mean squared difference to the real blot in G's loss, in [-1, 1].
        ssim_weight: of 1 - SSIM in G's loss.
        augment_colour: range of brightness and contrast in what D sees, see ``diff_augment``.
        augment_shift: largest shift of what D sees, in pixels.
        generator_lr: Adam's learning rate for G.
        discriminator_lr: the same for D.
        betas: Adam's, for both.
        lr_decay_from: part of the training after which both rates fall linearly to 0; 1: never.
        gradient_clip_val: largest norm of the gradients of each network; null does not clip.
        ema_decay: of the moving average of G's weights, which then makes the blots in validation,
            test and prediction; 0 keeps none.
        kid_weights: file of a ResNet-18 state dict, on whose features KID is then computed
            (``kid_resnet18``); null uses a fixed random network (``kid_random``).
    """

    def __init__(
        self,
        generator: Literal["reference", "unet"] = "reference",
        discriminator: Literal["reference", "patch"] = "reference",
        condition: Literal["both", "none"] = "both",
        loss: Literal["bce", "hinge"] = "bce",
        mse_weight: float = 0.0,
        ssim_weight: float = 0.0,
        augment_colour: float = 0.0,
        augment_shift: int = 0,
        generator_lr: float = 0.0002,
        discriminator_lr: float = 0.0002,
        betas: tuple[float, float] = (0.9, 0.999),
        lr_decay_from: float = 1.0,
        gradient_clip_val: float | None = None,
        ema_decay: float = 0.0,
        kid_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="kid_weights")  # how to measure is not the checkpoint's
        self.automatic_optimization = False
        self.generator = UNetGenerator() if generator == "unet" else ReferenceGenerator()
        self.discriminator = Discriminator(discriminator, condition)
        self.ema: AveragedModel | None = None
        if ema_decay:
            average = moving_average(ema_decay)
            self.ema = AveragedModel(self.generator, multi_avg_fn=average).requires_grad_(False)
        self.d_loss, self.g_loss = MeanMetric(), MeanMetric()  # of the epoch
        self.metrics = nn.ModuleDict(
            {
                f"{stage}_metrics": nn.ModuleDict(
                    {
                        "images": image_metrics(),
                        "kid": BlotKID(kid_weights),
                        "d_accuracy": BinaryAccuracy(),
                        "d_accuracy_real": BinaryAccuracy(),
                        "d_accuracy_fake": BinaryAccuracy(),
                    }
                )
                for stage in ("val", "test")
            }
        )

    def forward(self, templates: Tensor) -> Tensor:
        """Blots ``(N, 1, H, W)`` in [-1, 1] for templates ``(N, 2, H, W)``, by the EMA if kept."""
        return (self.ema or self.generator)(templates).float()

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        templates, targets, _ = batch
        options = self.hparams
        g_optimizer, d_optimizer = cast(list[LightningOptimizer], self.optimizers())
        fakes = self.generator(templates)

        with self.toggled_optimizer(d_optimizer):
            real, fake = self._judge(templates, targets), self._judge(templates, fakes.detach())
            d_loss = discriminator_loss(real, fake, options["loss"])
            self._backward(d_loss, d_optimizer)
            # What d_optimizer.step() does, less the count: a batch shall be one global step.
            self.trainer.strategy.optimizer_step(d_optimizer.optimizer, lambda: None)

        with self.toggled_optimizer(g_optimizer):
            g_loss = generator_loss(self._judge(templates, fakes), options["loss"])
            self._backward(g_loss + self._reconstruction_loss(fakes, targets), g_optimizer)
            g_optimizer.step()

        if self.ema is not None:
            self.ema.update_parameters(self.generator)
        for scheduler in cast(list[LambdaLR], self.lr_schedulers()):
            scheduler.step()
        d_loss, g_loss = d_loss.detach(), g_loss.detach()
        self.d_loss.update(d_loss, len(targets))
        self.g_loss.update(g_loss, len(targets))
        # log() takes half a millisecond a value, so it is called for what Lightning writes alone.
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and self.global_step % every == 0:
            losses = {"train/d_loss_step": d_loss, "train/g_loss_step": g_loss}
            self.log_dict(losses, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        self.log_dict({"train/d_loss": self.d_loss, "train/g_loss": self.g_loss})

    def _judge(self, templates: Tensor, images: Tensor) -> Tensor:
        colour, shift = self.hparams["augment_colour"], self.hparams["augment_shift"]
        if colour or shift:
            templates, images = diff_augment(templates, images, colour, shift)
        return self.discriminator(templates, images)

    def _reconstruction_loss(self, fakes: Tensor, targets: Tensor) -> Tensor | float:
        loss: Tensor | float = 0.0
        with torch.autocast(self.device.type, enabled=False):
            if self.hparams["mse_weight"]:
                loss = self.hparams["mse_weight"] * F.mse_loss(fakes.float(), targets)
            if self.hparams["ssim_weight"]:
                pair = (fakes.float() + 1) / 2, (targets + 1) / 2
                similarity = ssim(*pair, gaussian_kernel=False, kernel_size=7, data_range=1.0)
                loss = loss + self.hparams["ssim_weight"] * (1 - cast(Tensor, similarity))
        return loss

    def _backward(self, loss: Tensor, optimizer: LightningOptimizer) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.hparams["gradient_clip_val"] is not None:
            clip = self.hparams["gradient_clip_val"]
            self.clip_gradients(cast(torch.optim.Optimizer, optimizer), clip, "norm")

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._evaluate(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._evaluate(batch, "test")

    def _evaluate(self, batch: tuple[Tensor, Tensor, Tensor], stage: str) -> Tensor:
        """Update the metrics; returns the blots in [-1, 1]."""
        templates, targets, _ = batch
        fakes = self(templates)
        metrics: Any = self.metrics[f"{stage}_metrics"]
        # Of the 8-bit image, as it is written to a file; in float32, for SSIM has convolutions.
        fakes8, targets8 = (((x + 1) * 127.5).round() / 255 for x in (fakes, targets))
        with torch.autocast(self.device.type, enabled=False):
            metrics["images"].update(fakes8, targets8)
            metrics["kid"].update(fakes8, real=False)
            metrics["kid"].update(targets8, real=True)
        for kind, images in (("real", targets), ("fake", fakes)):
            logits = self.discriminator(templates, images)
            judged_real = logits.float().flatten(1).mean(1) > 0
            truth = torch.full_like(judged_real, kind == "real")
            for name in ("d_accuracy", f"d_accuracy_{kind}"):
                metrics[name].update(judged_real, truth)
        for name in ("d_accuracy", "d_accuracy_real", "d_accuracy_fake"):
            self.log(f"{stage}/{name}", metrics[name])
        self.log(f"{stage}/{metrics['kid'].name}", metrics["kid"])
        self.log_dict({f"{stage}/{name}": metric for name, metric in metrics["images"].items()})
        return fakes

    def predict_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """Blots as uint8 ``(N, 1, H, W)``."""
        return ((self(batch[0]) + 1) * 127.5).round().to(torch.uint8)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        options = self.hparams
        # Faster; but Lightning does not clip the gradients of a fused one under autocast.
        fused = not options["gradient_clip_val"]
        optimizers = [
            DenseAdam(network.parameters(), lr, options["betas"], fused=fused)
            for network, lr in (
                (self.generator, options["generator_lr"]),
                (self.discriminator, options["discriminator_lr"]),
            )
        ]
        steps = self.trainer.estimated_stepping_batches
        rest = steps * (1 - options["lr_decay_from"])

        def factor(step: int) -> float:
            return min(1.0, (steps - step) / rest) if rest else 1.0

        return optimizers, [LambdaLR(optimizer, factor) for optimizer in optimizers]
