"""What does not fit together is refused before training, and nothing is changed by looking."""

import pytest
import torch
from torch import nn

from callbacks.shape_check import check_discriminator, check_keys, check_loss, check_shapes
from common.errors import DataError
from lit_models import StyledBlotGAN
from lit_models.networks import ReferenceGenerator, StyledBlotDiscriminator, UNet


def test_networks_that_take_the_images():
    network = UNet(widths=(4, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert check_shapes(network, 2, (1, 30, 21), (1, 30, 21)).shape == (2, 1, 30, 21)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), "BatchNorm's statistics too"


@pytest.mark.parametrize(
    ("network", "count", "image", "target", "line"),
    [
        (UNet(widths=(4, 8)), 2, (3, 16, 16), (1, 16, 16), "does not take 2 images of 3 x 16 x 16"),
        (
            ReferenceGenerator(),
            2,
            (2, 20, 20),
            (1, 20, 20),
            "outputs 1 x 16 x 16, target is 1 x 20 x 20",
        ),
        (nn.BatchNorm2d(3), 1, (3, 1, 1), (), "Expected more than 1 value per channel"),
        (nn.Linear(3, 3), 2, (1, 4, 4), (), "does not take 2 images"),
        (nn.Bilinear(3, 3, 3), 2, (1, 4, 4), (), "missing 1 required positional argument"),
    ],
)
def test_networks_that_do_not(network, count, image, target, line):
    with pytest.raises(DataError, match=r"^model\.network: ") as caught:
        check_shapes(network, count, image, target)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_losses():
    masks, classes = torch.zeros(2, 1, 4, 4, dtype=torch.bool), torch.tensor([0, 1])
    check_loss(nn.BCEWithLogitsLoss(), torch.zeros(2, 1, 4, 4), masks, "model.loss")
    check_loss(nn.CrossEntropyLoss(), torch.zeros(2, 6), classes, "model.loss")
    with pytest.raises(DataError, match=r"^model\.loss: BCEWithLogitsLoss does not take outputs"):
        check_loss(nn.BCEWithLogitsLoss(), torch.zeros(2, 6), classes, "model.loss")
    with pytest.raises(DataError, match="more than one number"):
        check_loss(nn.L1Loss(reduction="none"), torch.zeros(2, 1, 4, 4), masks, "model.loss")


def test_a_data_module_of_another_method_is_named():
    check_keys(nn.Module(), object(), {})
    with pytest.raises(
        DataError, match=r"^data: the batches of object have no style, which Styled"
    ):
        check_keys(StyledBlotGAN.__new__(StyledBlotGAN), object(), {"image": 1})


def test_a_discriminator_of_another_method():
    shapes = [(2, 32, 32), (8,), (1, 32, 32)]
    check_discriminator(StyledBlotDiscriminator(4), shapes)
    with pytest.raises(DataError, match=r"^model\.discriminator: does not take \(2, 32, 32\), \(1"):
        check_discriminator(StyledBlotDiscriminator(4), [shapes[0], shapes[2]])
