"""Reading ahead changes when items are made, and nothing else."""

import threading

import pytest

from common.read_ahead import read_ahead


def test_the_next_item_is_made_while_the_present_one_is_used():
    made = [threading.Event() for _ in range(4)]

    def items():
        for number in range(4):
            made[number].set()
            yield number

    seen = []
    for number in read_ahead(items()):
        assert number == 3 or made[number + 1].wait(10)
        assert number > 1 or not made[number + 2].is_set(), "no more than one ahead"
        seen.append(number)
    assert seen == [0, 1, 2, 3]


def test_a_bad_item_is_reported_where_it_is():
    ahead = read_ahead(int(text) for text in ("1", "x"))
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="x"):
        next(ahead)
