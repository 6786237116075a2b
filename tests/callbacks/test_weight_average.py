"""The averaged weights are those of torch's AveragedModel, bit for bit."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from conftest import quiet_trainer
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from callbacks.checkpoints import LastCheckpoint
from callbacks.weight_average import WeightAverage
from common.errors import DataError

DECAY = 0.9


def moving_average(decay):
    """As torch's AveragedModel takes it: tensor by tensor, the weight in float32."""

    @torch.no_grad()
    def update(averaged, current, count):
        weight = (9 / (10 + count)).clamp(min=1 - decay)
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, weight)
            else:
                old.copy_(new)

    return update


class TwoNetworks(pl.LightningModule):
    """Optimized by hand like a GAN: two updates a batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        self.discriminator = nn.Sequential(spectral_norm(nn.Linear(1, 4)), nn.Linear(4, 1))
        self.expected = None
        self.validated = []

    def on_fit_start(self):
        if self.expected is None:
            average = moving_average(DECAY)
            self.expected = (AveragedModel(self.generator, multi_avg_fn=average),)

    def training_step(self, batch):
        first, second = self.optimizers()
        for optimizer, network, x in (
            (second, self.discriminator, batch[:, :1]),
            (first, self.generator, batch),
        ):
            optimizer.zero_grad()
            self.manual_backward(network(x).square().mean())
            optimizer.step()
        self.expected[0].update_parameters(self.generator)

    def validation_step(self, batch):
        self.validated.append(copy.deepcopy(self.state_dict()))

    def configure_optimizers(self):
        return [torch.optim.Adam(n.parameters()) for n in (self.generator, self.discriminator)]


def fit(folder, module, epochs=3, ckpt_path=None, **options):
    torch.manual_seed(0)
    trainer = quiet_trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        num_sanity_val_steps=0,
        callbacks=[WeightAverage(DECAY, **options), LastCheckpoint()],
        enable_checkpointing=True,
    )
    data = torch.randn(12, 2, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(data, batch_size=4, generator=torch.Generator())
    trainer.fit(module, loader, loader, ckpt_path=ckpt_path)
    return trainer


def parts(state, name):
    return {key.removeprefix(f"{name}."): v for key, v in state.items() if key.startswith(name)}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_one_part_is_averaged_and_all_else_is_as_trained(tmp_path):
    torch.manual_seed(3)
    module = TwoNetworks()
    trainer = fit(tmp_path, module, modules=["generator"])
    assert trainer.global_step == 18
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    expected = module.expected[0].module.state_dict()
    trained = saved["current_model_state"]
    assert_same(parts(saved["state_dict"], "generator"), expected)
    assert_same(parts(saved["state_dict"], "discriminator"), parts(trained, "discriminator"))
    assert_same(parts(module.validated[-1], "generator"), expected)
    assert not torch.equal(expected["0.weight"], trained["generator.0.weight"])
    # BatchNorm's statistics are copied, not averaged.
    assert torch.equal(expected["1.running_var"], trained["generator.1.running_var"])
    assert_same(parts(module.state_dict(), "generator"), expected)


def test_resumed_equals_uninterrupted(tmp_path):
    states = []
    for cuts in ((4,), (1, 2, 4)):
        folder = tmp_path / str(len(cuts))
        for epochs in cuts:
            torch.manual_seed(3)
            last = folder / "checkpoints" / "last.ckpt"
            resume = str(last) if last.exists() else None
            fit(folder, TwoNetworks(), epochs, resume, modules=["generator"])
        states.append(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True))
    for key in ("state_dict", "current_model_state"):
        assert_same(states[0][key], states[1][key])


class Plain(TwoNetworks):
    """The same with an average of the whole model, buffers too, as Lightning's callback has it."""

    def on_fit_start(self):
        self.expected = (AveragedModel(self, multi_avg_fn=moving_average(DECAY), use_buffers=True),)

    def on_train_batch_end(self, *args):
        self.expected[0].update_parameters(self)

    def training_step(self, batch):
        optimizer = self.optimizers()[0]
        optimizer.zero_grad()
        self.manual_backward(self.generator(batch).square().mean())
        optimizer.step()


def test_without_names_all_is_averaged(tmp_path):
    torch.manual_seed(3)
    module = Plain()
    fit(tmp_path, module)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert_same(saved["state_dict"], module.expected[0].module.state_dict())


def test_refusals(tmp_path):
    with pytest.raises(DataError, match="no part 'g'; the model has generator, discriminator"):
        fit(tmp_path, TwoNetworks(), modules=["g"])
    trainer = pl.Trainer(callbacks=[WeightAverage(), EMAWeightAveraging()], logger=False)
    with pytest.raises(DataError, match="WeightAverage or EMAWeightAveraging, not both"):
        trainer.fit(TwoNetworks(), DataLoader(torch.zeros(2, 4)))
