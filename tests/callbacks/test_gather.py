"""What processes found out is the same in all of them."""

from types import SimpleNamespace

import pytest

from callbacks.gather import on_rank_zero
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
