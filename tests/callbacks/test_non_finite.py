"""A loss that is not finite stops a run; weights and outputs that are not are refused."""

import pytest
import pytorch_lightning as pl
import torch
from conftest import quiet_trainer
from torch.utils.data import DataLoader

from callbacks.checkpoints import LastCheckpoint
from callbacks.non_finite import NonFiniteGuard
from common.errors import DataError


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


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_weights_that_are_not_finite_are_refused(tmp_path, stage):
    module = Line()
    module.validation_step = module.test_step = lambda batch: None
    module.layer.weight.data.fill_(float("nan"))
    with pytest.raises(DataError, match=r"layer\.weight is not finite"):
        getattr(trainer(tmp_path), stage)(module, batches())


def test_an_output_that_is_not_finite_is_refused(tmp_path):
    images = [{"image": torch.tensor([v]), "name": f"{v}.png"} for v in (1.0, float("inf"))]
    with pytest.raises(DataError, match=r"^inf\.png: the model's output is not finite"):
        trainer(tmp_path).predict(Line(), DataLoader(images))
