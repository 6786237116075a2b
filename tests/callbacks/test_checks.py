"""What does not fit, or is not finite, is refused in a line."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from conftest import quiet_trainer
from torch import nn
from torch.utils.data import DataLoader

from callbacks.checkpoints import LastCheckpoint
from callbacks.checks import NonFiniteGuard, ShapeCheck
from cli import main
from common.errors import DataError
from lit_models import StyledBlotGAN
from lit_models.networks import ReferenceGenerator, UNet


class Line(pl.LightningModule):
    """A weight whose loss, or whose second optimizer's loss, is not finite in one step."""

    def __init__(self, bad_step=None, value=float("nan"), manual=False):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.bad_step, self.value = bad_step, value
        self.automatic_optimization = not manual
        self.steps = 0

    def training_step(self, batch):
        loss = self.layer(batch["image"]).square().mean()
        if self.steps == self.bad_step:
            loss = loss * self.value
        self.steps += 1
        if self.automatic_optimization:
            return loss
        return {"d_loss": loss.detach().new_zeros(()), "g_loss": loss.detach()}

    def predict_step(self, batch):
        return {"name": batch["name"], "image": [self.layer(batch["image"])]}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def trainer(folder, **options):
    options |= {"callbacks": [NonFiniteGuard(), LastCheckpoint()], "enable_checkpointing": True}
    return quiet_trainer(default_root_dir=folder, max_epochs=4, **options)


def batches(count=4, **more):
    items = [{"image": torch.ones(1), "name": f"{i}.png", **more} for i in range(count)]
    return DataLoader(items, batch_size=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("manual", [False, True])
def test_the_first_bad_loss_stops_and_the_last_good_checkpoint_stays(tmp_path, value, manual):
    module = Line(bad_step=9, value=value, manual=manual)
    with pytest.raises(DataError, match=r"^epoch 3: the training loss is not finite;"):
        trainer(tmp_path).fit(module, batches())
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 1
    assert saved["state_dict"]["layer.weight"].isfinite().all()


def test_it_looks_every_few_steps_and_at_the_end(tmp_path):
    guard, module, engine = NonFiniteGuard(), Line(), trainer(tmp_path, log_every_n_steps=3)
    for step, loss in enumerate((1.0, float("nan"))):
        guard.on_train_batch_end(engine, module, {"loss": torch.tensor(loss)}, None, step)
    with pytest.raises(DataError, match=r"^epoch 1: "):
        guard.on_train_batch_end(engine, module, {"loss": torch.tensor(1.0)}, None, 2)
    guard.on_train_batch_end(engine, module, {"loss": torch.tensor(float("inf"))}, None, 3)
    with pytest.raises(DataError, match=r"^epoch 1: "):
        guard.on_train_epoch_end(engine, module)


def test_weights_that_are_not_finite_are_refused(finished):
    folder, args = finished
    path = folder / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.head.weight"][0, 0] = float("nan")
    torch.save(content, path)
    with pytest.raises(DataError, match=r"last\.ckpt: network\.head\.weight is not finite"):
        main(["validate", *args(f"--ckpt_path={path}")])


def test_an_output_that_is_not_finite_is_refused(tmp_path):
    images = [{"image": torch.tensor([v]), "name": f"{v}.png"} for v in (1.0, float("inf"))]
    with pytest.raises(DataError, match=r"^inf\.png: the model's output is not finite"):
        trainer(tmp_path).predict(Line(), DataLoader(images))


def check_shapes(network, image, target=None):
    batch = {"image": image, "target": target}
    data = SimpleNamespace(
        val_set=[batch], collate_fn=lambda items: items[0], on_after_batch_transfer=lambda x, _: x
    )
    ShapeCheck().setup(SimpleNamespace(datamodule=data), network, "fit")


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
    module = StyledBlotGAN.__new__(StyledBlotGAN)
    with pytest.raises(DataError, match=r"^data: SimpleNamespace gives no style, which Styled"):
        check_shapes(module, torch.zeros(1, 8, 8))
