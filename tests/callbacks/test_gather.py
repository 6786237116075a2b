"""What processes found out is the same in all of them."""

from types import SimpleNamespace

import pytest
import torch

from callbacks.gather import gather, gather_in_order, on_rank_zero
from common.errors import DataError


def trainer(rank=0, sent=None):
    """One process of several; ``sent`` is what rank 0 broadcast."""
    strategy = SimpleNamespace(broadcast=lambda value: value if rank == 0 else sent)
    return SimpleNamespace(is_global_zero=rank == 0, strategy=strategy, world_size=1)


def test_rank_zero_alone_works_and_all_know():
    assert on_rank_zero(trainer(), lambda: "folder") == "folder"
    never = lambda: pytest.fail("called")  # noqa: E731
    assert on_rank_zero(trainer(1, "folder"), never) == "folder"


def test_an_error_of_rank_zero_is_everyones():
    def fail():
        raise DataError("no room")

    for process, function in ((trainer(), fail), (trainer(1, DataError("no room")), fail)):
        with pytest.raises(DataError, match=r"^no room$"):
            on_rank_zero(process, function)


def test_batches_are_put_in_the_order_of_the_data():
    batches = [(torch.tensor([2.0, 0.0]), torch.tensor([2, 0])), (torch.ones(1), torch.tensor([1]))]
    values, indices = gather_in_order(trainer(), batches, index=1)
    assert values.tolist() == [0, 1, 2]
    assert indices.tolist() == [0, 1, 2]
    assert gather(trainer(), ["a"]) == ["a"]
