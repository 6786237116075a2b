from types import SimpleNamespace

from datamodules.samplers import eval_sampler, train_sampler


def process(rank, of):
    return SimpleNamespace(global_rank=rank, world_size=of)


def test_evaluation_sees_each_sample_once_over_all_processes():
    shares = [list(eval_sampler(range(5), process(rank, 3))) for rank in range(3)]
    assert sorted(index for share in shares for index in share) == [0, 1, 2, 3, 4]
    assert list(eval_sampler(range(1), process(1, 2))) == []
    assert list(eval_sampler(range(3), None)) == [0, 1, 2]


def test_training_shares_are_equal_and_complete_and_repeat_by_epoch():
    shares = []
    for rank in range(2):
        sampler = train_sampler(range(5), process(rank, 2), seed=3)
        sampler.set_epoch(1)
        shares.append(list(sampler))
    assert len(shares[0]) == len(shares[1]) == 3
    assert set(shares[0]) | set(shares[1]) == {0, 1, 2, 3, 4}
    alone = train_sampler(range(5), None, seed=3)
    first = list(alone)
    assert sorted(first) == [0, 1, 2, 3, 4]
    alone.set_epoch(1)
    assert list(alone) != first
    alone.set_epoch(0)
    assert list(alone) == first
