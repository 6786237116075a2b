"""The same pair of templates gives the same blot, whatever stands beside it."""

import torch

from lit_models.networks import ReferenceGenerator, UNetGenerator
from lit_models.postprocessing.blots import generate, seeded_noise


def templates():
    torch.manual_seed(0)
    return torch.rand(3, 2, 16, 16) * 2 - 1


@torch.no_grad()
def test_a_pair_gives_the_same_blot_alone_and_in_a_batch():
    generator = UNetGenerator(width=4).eval()
    pairs = templates()
    state = torch.get_rng_state()
    together = generate(generator, pairs)
    assert together.shape == (3, 1, 16, 16)
    assert together.dtype == torch.uint8
    assert torch.equal(torch.get_rng_state(), state), "draws from no one else's numbers"
    torch.manual_seed(7)
    for i in range(3):
        alone = generate(generator, pairs[i : i + 1])[0]
        assert (alone.int() - together[i].int()).abs().max() <= 1
    assert torch.equal(generate(generator, pairs), together)


def test_noise_is_normal_and_another_for_each_pair():
    pairs = templates().repeat(1, 1, 4, 4)
    noise = seeded_noise(pairs)
    assert noise.shape == (3, 1, 64, 64)
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(noise[2], seeded_noise(pairs[2:])[0])


@torch.no_grad()
def test_a_generator_without_noise():
    generator = ReferenceGenerator().eval()
    pairs = templates()
    expected = ((generator(pairs) + 1) * 127.5).round().byte()
    assert torch.equal(generate(generator, pairs), expected)
