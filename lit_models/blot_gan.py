"""Western blots from two templates: a conditional GAN, optimised by hand."""

from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics import MeanAbsoluteError, MetricCollection
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from lit_models.blot_networks import Discriminator, Generator
from lit_models.kid import BlotKID


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Sum of the real and the fake term on logits; 2 ln 2 = 1.386 where it cannot tell them."""
    real, fake = real.float(), fake.float()
    return bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))


def generator_loss(fake: Tensor) -> Tensor:
    """The non-saturating loss of Goodfellow et al. (arXiv:1406.2661) on logits; ln 2 at balance."""
    fake = fake.float()
    return bce(fake, torch.ones_like(fake))


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
    schedulers, or counts a batch as one step. Here: ``gradient_clip_val`` below takes the place of
    the trainer's, schedulers are stepped after each batch, and D's update is not counted, so that
    ``global_step`` is the number of batches and every interval in steps means batches.
    ``accumulate_grad_batches`` is refused by Lightning.

    Args:
        condition: what D sees beside the image: ``both`` templates, or ``none``.
        generator_lr: Adam's learning rate for G.
        discriminator_lr: the same for D.
        betas: Adam's, for both.
        gradient_clip_val: largest norm of the gradients of each network; null does not clip.
        ema_decay: of the moving average of G's weights, which then makes the blots in validation,
            test and prediction; 0 keeps none.
        kid_weights: file of a ResNet-18 state dict, on whose features KID is then computed
            (``kid_resnet18``); null uses a fixed random network (``kid_random``).
    """

    def __init__(
        self,
        condition: Literal["both", "none"] = "both",
        generator_lr: float = 0.0002,
        discriminator_lr: float = 0.0002,
        betas: tuple[float, float] = (0.9, 0.999),
        gradient_clip_val: float | None = None,
        ema_decay: float = 0.0,
        kid_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = Generator()
        self.discriminator = Discriminator(condition)
        self.ema: AveragedModel | None = None
        if ema_decay:
            average = get_ema_multi_avg_fn(ema_decay)
            self.ema = AveragedModel(self.generator, multi_avg_fn=average).requires_grad_(False)
        self.metrics = nn.ModuleDict(
            {
                f"{stage}_metrics": nn.ModuleDict(
                    {
                        "images": image_metrics(),
                        "kid": BlotKID(kid_weights),
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
        g_optimizer, d_optimizer = cast(list[LightningOptimizer], self.optimizers())
        fakes = self.generator(templates)

        with self.toggled_optimizer(d_optimizer):
            real = self.discriminator(templates, targets)
            fake = self.discriminator(templates, fakes.detach())
            d_loss = discriminator_loss(real, fake)
            self._backward(d_loss, d_optimizer)
            # What d_optimizer.step() does, less the count: a batch shall be one global step.
            self.trainer.strategy.optimizer_step(d_optimizer.optimizer, lambda: None)

        with self.toggled_optimizer(g_optimizer):
            g_loss = generator_loss(self.discriminator(templates, fakes))
            self._backward(g_loss, g_optimizer)
            g_optimizer.step()
        if self.ema is not None:
            self.ema.update_parameters(self.generator)

        losses = {"train/d_loss": d_loss.detach(), "train/g_loss": g_loss.detach()}
        self.log_dict(losses, on_step=True, on_epoch=True, batch_size=len(targets), sync_dist=True)

    def _backward(self, loss: Tensor, optimizer: Any) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.hparams["gradient_clip_val"] is not None:
            self.clip_gradients(optimizer, self.hparams["gradient_clip_val"], "norm")

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: tuple[Tensor, Tensor, Tensor], stage: str) -> None:
        templates, targets, _ = batch
        fakes = self(templates)
        metrics: Any = self.metrics[f"{stage}_metrics"]
        # Of the 8-bit image, as it is written to a file.
        fakes8, targets8 = (((x + 1) * 127.5).round() / 255 for x in (fakes, targets))
        metrics["images"].update(fakes8, targets8)
        metrics["kid"].update(fakes8, real=False)
        metrics["kid"].update(targets8, real=True)
        for name, images in (("d_accuracy_real", targets), ("d_accuracy_fake", fakes)):
            judged_real = self.discriminator(templates, images).float().flatten(1).mean(1) > 0
            truth = torch.full_like(judged_real, name == "d_accuracy_real")
            metrics[name].update(judged_real, truth)
            self.log(f"{stage}/{name}", metrics[name], on_epoch=True)
        self.log_dict({f"{stage}/{name}": metric for name, metric in metrics["images"].items()})
        self.log(f"{stage}/{metrics['kid'].name}", metrics["kid"])

    def predict_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """Blots as uint8 ``(N, 1, H, W)``."""
        return ((self(batch[0]) + 1) * 127.5).round().to(torch.uint8)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return [
            torch.optim.Adam(network.parameters(), lr, self.hparams["betas"], fused=True)
            for network, lr in (
                (self.generator, self.hparams["generator_lr"]),
                (self.discriminator, self.hparams["discriminator_lr"]),
            )
        ]
