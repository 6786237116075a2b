import math

import pytest
import pytorch_lightning as pl
import torch
from conftest import quiet_trainer
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch import nn
from torch.utils.data import DataLoader

from lit_models.base import ImageModule
from lit_models.metrics.image_scores import image_means
from lit_models.optim import CosineAnnealing, KernelDecayAdamW, LinearDecay, OneCycle
from lit_models.optim.schedules import StepScheduler


def rates(schedule, steps=10, lr=1.0):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr)
    scheduler, found = StepScheduler(optimizer, schedule, lambda: steps), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def test_linear_decay_falls_to_zero_over_its_part():
    assert rates(LinearDecay(0.5)) == pytest.approx([1] * 6 + [0.8, 0.6, 0.4, 0.2, 0])


def test_cosine_is_half_way_in_the_middle():
    found = rates(CosineAnnealing())
    assert (found[0], found[5], found[-1]) == pytest.approx((1, 0.5, 0))


def test_one_cycle_peaks_at_the_optimizers_rate():
    found = rates(OneCycle(pct_start=0.5), steps=21, lr=0.3)[:-1]
    assert max(found) == pytest.approx(0.3, rel=0.01)
    assert found[0] == pytest.approx(0.3 / 25)
    assert found[-1] < 1e-4


def test_only_kernels_decay():
    layer = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    kernels, others = KernelDecayAdamW(layer.parameters(), weight_decay=0.1).param_groups
    assert [p.ndim for p in kernels["params"]] == [4]
    assert [p.ndim for p in others["params"]] == [1, 1, 1]
    assert (kernels["weight_decay"], others["weight_decay"]) == (0.1, 0.0)


class Rates(pl.Callback):
    """Keeps the learning rate that each step of training is made with."""

    def __init__(self):
        self.rates = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])


class Module(ImageModule):
    def __init__(self, schedule):
        super().__init__()
        self.layer, self.train_scores = nn.Linear(1, 1), image_means("loss")
        self.optimizer, self.lr_scheduler = torch.optim.AdamW, schedule

    def training_step(self, batch):
        return self.layer(batch).mean()


def train(schedule, folder, epochs, ckpt_path=None, callbacks=()):
    rates = Rates()
    trainer = quiet_trainer(
        max_epochs=epochs, default_root_dir=folder, callbacks=[rates, *callbacks]
    )
    trainer.fit(Module(schedule), DataLoader(torch.zeros(6, 1), batch_size=1), ckpt_path=ckpt_path)
    trainer.save_checkpoint(folder / "last.ckpt")
    return rates.rates


SCHEDULES = [OneCycle(0.3, True), CosineAnnealing(), LinearDecay(0.4)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_a_lengthened_training_follows_its_new_length(tmp_path, schedule):
    whole = train(schedule, tmp_path, 4)
    first = train(schedule, tmp_path, 2)
    rest = train(schedule, tmp_path, 4, ckpt_path=tmp_path / "last.ckpt")
    assert rest == pytest.approx(whole[12:], rel=1e-12)
    assert first != pytest.approx(whole[:12])


def test_accumulation_that_changes_while_it_trains(tmp_path):
    accumulation = GradientAccumulationScheduler({0: 1, 2: 3})
    rates = train(CosineAnnealing(), tmp_path, 4, callbacks=[accumulation])
    total = 2 * 6 + 2 * 2
    expected = [0.0005 * (1 + math.cos(math.pi * step / total)) for step in range(total)]
    assert rates == pytest.approx(expected)
