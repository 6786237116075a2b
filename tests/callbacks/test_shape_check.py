"""What does not fit together is refused before training, and nothing is changed by looking."""

import pytest
import torch
from torch import nn

from callbacks.shape_check import check_keys, check_loss, check_shapes
from common.errors import DataError
from lit_models import StyledBlotGAN
from lit_models.networks import ReferenceGenerator, UNet


def test_networks_that_take_the_images():
    network = UNet(widths=(4, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    image = torch.zeros(1, 1, 30, 21)
    assert check_shapes(network, image, image).shape == (2, 1, 30, 21)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), "BatchNorm's statistics too"


class Selects(nn.Module):
    def forward(self, x):
        return x if x.sum().item() > 0 else -x


def test_what_cannot_be_known_without_computing_is_let_pass():
    assert check_shapes(Selects(), torch.zeros(1, 1, 4, 4)) is None


@pytest.mark.parametrize(
    ("network", "image", "line"),
    [
        (UNet(widths=(4, 8)), (3, 16, 16), "does not take 2 images of 3 x 16 x 16"),
        (ReferenceGenerator(), (2, 20, 20), "outputs 1 x 16 x 16, target is 1 x 20 x 20"),
        (nn.Linear(3, 3), (1, 4, 4), "does not take 2 images"),
        (nn.Bilinear(3, 3, 3), (1, 4, 4), "missing 1 required positional argument"),
    ],
)
def test_networks_that_do_not(network, image, line):
    with pytest.raises(DataError, match=r"^model\.network: ") as caught:
        check_shapes(network, torch.zeros(1, *image), torch.zeros(1, 1, *image[1:]))
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
