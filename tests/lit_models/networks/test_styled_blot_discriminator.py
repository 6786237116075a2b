import torch

from lit_models.networks import DiffAugment


def test_diff_augment_moves_templates_with_their_image():
    images = torch.rand(4, 1, 16, 16)
    templates, moved = DiffAugment(color=0.0, shift=4)(images.repeat(1, 2, 1, 1), images)
    torch.testing.assert_close(templates[:, :1], moved)
    assert not torch.equal(moved, images)
    same, bright = DiffAugment(color=0.5, shift=0)(images, images)
    assert torch.equal(same, images)
    change = (bright - images).mean((1, 2, 3))
    assert len(change.unique()) == 4, "each sample is changed by its own amount"
