"""Settings of torch's classes whose ranges it does not look at."""

import pytest

from experiment.arguments import UsageError
from experiment.torch_ranges import check_torch_ranges


def config(**init_args):
    part = {"class_path": "torch.optim.SGD", "init_args": init_args}
    return {
        "seed_everything": 42,
        "model": {"class_path": "a.B", "init_args": {"optimizer": part}},
    }


@pytest.mark.parametrize(
    ("init_args", "line"),
    [
        ({"lr": -1}, "model.optimizer.lr: must be a number >= 0, not -1"),
        ({"lr": float("nan")}, "model.optimizer.lr: must be a number >= 0, not 'nan'"),
        ({"lr": float("inf")}, "not 'inf'"),
        ({"lr": None}, "not null"),
        ({"momentum": 1.5}, "model.optimizer.momentum: must be a number >= 0 and <= 1, not 1.5"),
    ],
)
def test_out_of_range(init_args, line):
    with pytest.raises(UsageError) as caught:
        check_torch_ranges(config(**init_args))
    assert line in str(caught.value)


def test_in_range():
    check_torch_ranges(config(lr=0, momentum=0.9, eps=(None, 1e-3), nesterov=True))
    check_torch_ranges({**config(), "seed_everything": False})
    with pytest.raises(UsageError, match="seed_everything: must be a number from 0"):
        check_torch_ranges({**config(), "seed_everything": 2**32})
