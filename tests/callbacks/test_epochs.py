"""What an epoch draws depends on seed, epoch and process, and on nothing that was drawn before."""

import random
from types import SimpleNamespace

import numpy as np
import torch

from callbacks.epochs import EpochSeed


def draws(callback, epoch, rank=0):
    trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    callback.on_train_epoch_start(trainer, None)
    return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002


def test_draws_repeat_and_differ_as_they_should():
    first = draws(EpochSeed(1), 0)
    torch.rand(7)
    assert draws(EpochSeed(1), 0) == first
    others = [draws(EpochSeed(1), 1), draws(EpochSeed(2), 0), draws(EpochSeed(1), 0, rank=1)]
    for other in others:
        assert not set(other) & set(first)


def test_the_seed_is_the_checkpoints():
    resumed = EpochSeed(5)
    resumed.load_state_dict(EpochSeed(1).state_dict())
    assert draws(resumed, 3) == draws(EpochSeed(1), 3)
