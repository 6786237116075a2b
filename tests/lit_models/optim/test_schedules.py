import pytest
import torch
from torch import nn

from lit_models.optim import CosineAnnealing, KernelDecayAdamW, LinearDecay, OneCycle
from lit_models.optim.moving_average import moving_average


def rates(schedule, steps=10, lr=1.0):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr)
    scheduler, found = schedule(optimizer, steps), []
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


def test_average_forgets_its_first_steps_faster():
    average = [torch.zeros(1)]
    for count in range(1, 100):
        moving_average(0.9)(average, [torch.ones(1)], torch.tensor(count))
        if count == 1:
            assert average[0] == pytest.approx(9 / 11)
    assert average[0] == pytest.approx(1)
    average = [torch.zeros(1)]
    moving_average(0.9)(average, [torch.ones(1)], torch.tensor(1000))
    assert average[0] == pytest.approx(0.1)
