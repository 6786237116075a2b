"""What manual optimization must not lose, and what the GAN must be able to do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import quiet_trainer, read_table
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader

from lit_models import BlotGAN
from lit_models.losses import BCEAdversarialLoss, MSESSIMLoss
from lit_models.networks import DiffAugment, ReferenceDiscriminator, ReferenceGenerator
from lit_models.optim import LinearDecay


def adam(lr=0.0002, beta=0.9):
    return lambda params: torch.optim.Adam(params, lr, (beta, 0.999), fused=True)


def reference(**parts):
    return BlotGAN(
        ReferenceGenerator,
        ReferenceDiscriminator,
        BCEAdversarialLoss(),
        **{"generator_optimizer": adam(), "discriminator_optimizer": adam(), **parts},
    )


def with_all_parts(lr=0.0002):
    return reference(
        generator_optimizer=adam(lr, 0.5),
        reconstruction_loss=MSESSIMLoss(),
        discriminator_augmentation=DiffAugment(),
        lr_scheduler=LinearDecay(),
    )


def batches(count: int, size: int = 32, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    samples = [
        {
            "image": torch.randn(2, size, size, generator=generator).sign(),
            "target": torch.rand(1, size, size, generator=generator) * 2 - 1,
            "name": f"{index}.png",
            "index": index,
        }
        for index in range(count)
    ]
    return DataLoader(samples, batch_size=2)


class Gradients(Callback):
    """Keeps what each network's gradients are when an optimizer is about to step."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        first = optimizer.param_groups[0]["params"][0]
        name = "g" if first is next(pl_module.generator.parameters()) else "d"
        gradients = [
            [None if p.grad is None else p.grad.clone() for p in network.parameters()]
            for network in (pl_module.generator, pl_module.discriminator)
        ]
        self.seen.append((name, *gradients))


def test_each_update_leaves_the_other_networks_gradients_alone():
    watch = Gradients()
    model = reference()
    quiet_trainer(callbacks=[watch], limit_train_batches=2).fit(model, batches(4))
    assert [name for name, *_ in watch.seen] == ["d", "g", "d", "g"]
    (_, g1, d1), (_, g2, d2), (_, g3, d3), (_, _, d4) = watch.seen
    assert all(grad is None for grad in g1), "D's loss reached G"
    for before, after in ((d1, d2), (g2, g3), (d3, d4)):
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    for grads in (d1, g2):
        assert all(grad.abs().sum() > 0 for grad in grads[-2:])
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("every", [0, 2])
def test_an_epochs_loss_is_the_mean_of_its_steps(tmp_path, every):
    losses = []

    class Steps(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            losses.append(float(pl_module.train_scores["d_loss"].compute()))

    options = {"logger": CSVLogger(tmp_path), "log_every_n_steps": every, "callbacks": [Steps()]}
    run = quiet_trainer(**options)
    run.fit(reference(), batches(10))
    rows = read_table(Path(run.logger.log_dir) / "metrics.csv")
    logged = Path(run.logger.log_dir).iterdir()
    assert sum(file.stat().st_size for file in logged) < 1000, "no weights as text"
    steps = [row for row in rows if row.get("train/d_loss_step")]
    assert [int(row["step"]) for row in steps] == ([1, 3] if every else [])
    (mean,) = [float(row["train/d_loss"]) for row in rows if row["train/d_loss"]]
    assert mean == pytest.approx(losses[-1])
    if every:  # the second step's own loss, from the running means of one and of two steps
        second = 2 * losses[1] - losses[0]
        assert float(steps[0]["train/d_loss_step"]) == pytest.approx(second, rel=1e-4)


@pytest.mark.parametrize("length", [{"max_epochs": 2}, {"max_epochs": -1, "max_steps": 8}])
def test_schedulers_are_stepped_with_each_batch(length):
    class Rates(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])

    rates = []
    model = reference(
        generator_optimizer=adam(1.0),
        discriminator_optimizer=adam(0.1),
        lr_scheduler=LinearDecay(0.5),
    )
    quiet_trainer(callbacks=[Rates()], **length).fit(model, batches(4))
    np.testing.assert_allclose(np.array(rates).T, np.outer([1, 0.1], [1, 1, 1, 0.5]))


def test_condition():
    templates, images = torch.ones(2, 2, 32, 32), torch.zeros(2, 1, 32, 32)
    for condition in (True, False):
        discriminator = ReferenceDiscriminator(condition=condition).eval()
        same = torch.equal(discriminator(templates, images), discriminator(-templates, images))
        assert same != condition


def test_metrics_add_nothing_to_the_checkpoint():
    model = reference()
    (metrics,) = quiet_trainer().validate(model, batches(6), verbose=False)
    names = "l1 psnr ssim d_accuracy d_accuracy_real d_accuracy_fake"
    assert set(metrics) == {f"val/{name}" for name in names.split()}
    assert not [name for name in model.state_dict() if "score" in name]


def test_overfits_a_single_pair():
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 32)] * 2, indexing="ij")
    blot = (1 - 1.6 * torch.exp(-((x / 0.5) ** 4) - (y / 0.2) ** 2))[None]
    mask = torch.where(blot < 0, -1.0, 1.0)
    loader = DataLoader([{"image": torch.cat([mask, mask]), "target": blot}] * 100)
    torch.manual_seed(0)
    model = with_all_parts(0.002)
    quiet_trainer().fit(model, loader)
    model.eval()
    l1 = (model(torch.cat([mask, mask])[None]) - blot).abs().mean() / 2
    assert l1 < 0.05, "of the 0-1 range; a gray image has 0.13"
