"""What does not fit together is refused before training, and nothing is changed by looking."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from callbacks.shape_check import ShapeCheck, check_shapes
from common.errors import DataError
from lit_models import StyledBlotGAN
from lit_models.networks import ReferenceGenerator, UNet


def test_networks_that_take_the_images():
    network = UNet(widths=(4, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    image = torch.zeros(1, 1, 30, 21)
    check_shapes(network, image, image)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), "BatchNorm's statistics too"


class Selects(nn.Module):
    def forward(self, x):
        return x if x.sum().item() > 0 else -x


def test_what_cannot_be_known_without_computing_is_computed():
    check_shapes(Selects(), torch.zeros(1, 1, 4, 4))


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


def test_a_data_module_of_another_method_is_named():
    images = [{"image": torch.zeros(1, 8, 8)}]
    data = SimpleNamespace(
        val_set=images, collate_fn=lambda items: items[0], on_after_batch_transfer=lambda x, _: x
    )
    module = StyledBlotGAN.__new__(StyledBlotGAN)
    with pytest.raises(DataError, match=r"^data: the batches of .* have no style, which Styled"):
        ShapeCheck().setup(SimpleNamespace(datamodule=data), module, "fit")
