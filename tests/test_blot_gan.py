"""What manual optimization must not lose, and what the GAN must be able to do."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from conftest import ROOT, stopped_fit
from PIL import Image
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from test_blots import write_blots
from torch import nn
from torch.utils.data import DataLoader

from cli import main
from datamodules.errors import DataError
from lit_models.blot_gan import BlotGAN, discriminator_loss, generator_loss, moving_average
from lit_models.diff_augment import diff_augment
from lit_models.kid import BlotKID

BEST = yaml.safe_load((ROOT / "configs" / "blots_best.yaml").read_text())["model"]["init_args"]


def batches(count: int, size: int = 32, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    samples = [
        (
            torch.randn(2, size, size, generator=generator).sign(),
            torch.rand(1, size, size, generator=generator) * 2 - 1,
            index,
        )
        for index in range(count)
    ]
    return DataLoader(samples, batch_size=2)


def trainer(**options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    short = {"enable_checkpointing": False, "accelerator": "cpu", "max_epochs": 1}
    return pl.Trainer(**{**quiet, **short, **options})


def blots_args(folder, root, *more, config="blots"):
    """Arguments behind ``cli.py <subcommand>`` for a small, fast run on triples of 16x16."""
    return [
        f"--config={ROOT / 'configs' / f'{config}.yaml'}",
        f"--data.data_dir={folder}",
        f"--run.root={root}",
        "--data.size=16",
        "--trainer.accelerator=cpu",
        "--trainer.log_every_n_steps=1",
        *more,
    ]


def one_run(root):
    (folder,) = root.glob("blots*/*")
    return folder


def test_losses_on_logits_equal_the_references_sigmoid_and_bce():
    real, fake = torch.randn(64, 1) * 3, torch.randn(64, 1) * 3
    bce, ones, zeros = nn.BCELoss(), torch.ones(64, 1), torch.zeros(64, 1)
    reference = bce(real.sigmoid(), ones) + bce(fake.sigmoid(), zeros)
    torch.testing.assert_close(discriminator_loss(real, fake), reference)
    torch.testing.assert_close(generator_loss(fake), bce(fake.sigmoid(), ones))
    balanced = discriminator_loss(zeros, zeros)
    assert balanced == pytest.approx(2 * math.log(2))
    sure = discriminator_loss(ones * 200, ones * 200)  # a sigmoid would be rounded to 1 here
    assert sure == pytest.approx(200)


class Gradients(Callback):
    """Keeps what each network's gradients are when an optimizer is about to step."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        first = optimizer.param_groups[0]["params"][0]
        name = "g" if first is next(pl_module.generator.parameters()) else "d"
        self.seen.append(
            (
                name,
                *(
                    [None if p.grad is None else p.grad.clone() for p in network.parameters()]
                    for network in (pl_module.generator, pl_module.discriminator)
                ),
            )
        )


def test_each_update_leaves_the_other_networks_gradients_alone():
    watch = Gradients()
    model = BlotGAN()
    trainer(callbacks=[watch], limit_train_batches=2).fit(model, batches(4))
    assert [name for name, *_ in watch.seen] == ["d", "g", "d", "g"]
    (_, g1, d1), (_, g2, d2), (_, g3, d3), (_, _, d4) = watch.seen
    assert all(grad is None for grad in g1), "D's loss reached G"
    for before, after in ((d1, d2), (g2, g3), (d3, d4)):
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    for grads in (d1, g2):
        assert all(grad.abs().sum() > 0 for grad in grads[-2:])
    assert all(p.requires_grad for p in model.parameters())


def test_a_batch_is_one_step_for_every_interval(tmp_path):
    save = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=2, save_top_k=-1)
    options = {"enable_checkpointing": True, "max_epochs": 4, "max_steps": 6}
    run = trainer(callbacks=[save], **options)
    run.fit(BlotGAN(), batches(8))
    assert run.global_step == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"step={n}.ckpt" for n in (2, 4, 6)]


@pytest.mark.parametrize("every", [0, 2])
def test_an_epochs_loss_is_the_mean_of_its_steps(tmp_path, every):
    losses = []

    class Steps(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            losses.append(float(pl_module.d_loss.compute()))

    options = {"logger": CSVLogger(tmp_path), "log_every_n_steps": every, "callbacks": [Steps()]}
    run = trainer(**options)
    run.fit(BlotGAN(), batches(10))
    with (Path(run.logger.log_dir) / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = [row for row in rows if row.get("train/d_loss_step")]
    assert [int(row["step"]) for row in steps] == ([1, 3] if every else [])
    (mean,) = [float(row["train/d_loss"]) for row in rows if row["train/d_loss"]]
    assert mean == pytest.approx(losses[-1])
    if every:  # the second step's own loss, from the running means of one and of two steps
        second = 2 * losses[1] - losses[0]
        assert float(steps[0]["train/d_loss_step"]) == pytest.approx(second, rel=1e-4)


def test_what_manual_optimization_cannot_do_is_refused():
    with pytest.raises(MisconfigurationException, match="gradient accumulation is not supported"):
        trainer(accumulate_grad_batches=2).fit(BlotGAN(), batches(2))
    with pytest.raises(MisconfigurationException, match="gradient clipping is not supported"):
        trainer(gradient_clip_val=1.0).fit(BlotGAN(), batches(2))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_if_configured(precision):
    watch = Gradients()
    run = trainer(callbacks=[watch], limit_train_batches=1, precision=precision)
    run.fit(BlotGAN(gradient_clip_val=0.001), batches(2))
    (_, _, d), (_, g, _) = watch.seen
    for grads in (d, g):
        norm = torch.stack([grad.norm() for grad in grads]).norm()
        assert norm == pytest.approx(0.001, rel=1e-3)


def test_schedulers_are_stepped_with_each_batch():
    class Rates(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])

    rates = []
    model = BlotGAN(generator_lr=1.0, discriminator_lr=0.1, lr_decay_from=0.5)
    trainer(callbacks=[Rates()], max_epochs=2).fit(model, batches(4))
    np.testing.assert_allclose(np.array(rates).T, np.outer([1, 0.1], [1, 1, 1, 0.5]))


def test_average_forgets_its_first_steps_faster():
    average = [torch.zeros(1)]
    for count in range(1, 100):
        moving_average(0.9)(average, [torch.ones(1)], torch.tensor(count))
        if count == 1:
            assert average[0] == pytest.approx(9 / 11)
    assert average[0] == pytest.approx(1)
    average = [torch.zeros(1)]
    moving_average(0.9)(average, [torch.ones(1)], torch.tensor(1000))
    assert average[0] == pytest.approx(0.1)


def test_diff_augment_moves_templates_with_their_image():
    images = torch.rand(4, 1, 16, 16)
    templates, moved = diff_augment(images.repeat(1, 2, 1, 1), images, colour=0.0, shift=4)
    torch.testing.assert_close(templates[:, :1], moved)
    assert not torch.equal(moved, images)
    same, bright = diff_augment(images, images, colour=0.5, shift=0)
    assert torch.equal(same, images)
    change = (bright - images).mean((1, 2, 3))
    assert len(change.unique()) == 4, "each sample is changed by its own amount"


@pytest.mark.parametrize("options", [{}, BEST])
def test_bf16_autocast(options):
    model = BlotGAN(**options)
    run = trainer(precision="bf16-mixed", limit_train_batches=1)
    run.fit(model, batches(2), batches(4))
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert all(math.isfinite(value) for value in run.callback_metrics.values())


def test_condition():
    templates, images = torch.ones(2, 2, 32, 32), torch.zeros(2, 1, 32, 32)
    for condition, depends in (("both", True), ("none", False)):
        discriminator = BlotGAN(condition=condition).discriminator.eval()
        same = torch.equal(discriminator(templates, images), discriminator(-templates, images))
        assert same != depends


def test_metrics_name_the_features_and_add_nothing_to_the_checkpoint():
    model = BlotGAN()
    (metrics,) = trainer().validate(model, batches(6), verbose=False)
    names = {"l1", "psnr", "ssim", "kid_random", "d_accuracy", "d_accuracy_real", "d_accuracy_fake"}
    assert set(metrics) == {f"val/{name}" for name in names}
    assert not [name for name in model.state_dict() if "metric" in name]


def test_kid_is_the_unbiased_estimate(tmp_path):
    torch.manual_seed(0)
    kid = BlotKID()
    real, fake = torch.rand(12, 1, 32, 32), torch.rand(12, 1, 32, 32) ** 2
    kid.update(real[:5], real=True)
    kid.update(real[5:], real=True)
    kid.update(fake, real=False)
    x, y = kid.inception(real).double(), kid.inception(fake).double()
    k_xx, k_yy, k_xy = ((a @ b.T / 512 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    off = 1 - torch.eye(12)
    expected = ((k_xx + k_yy) * off).sum() / (12 * 11) - 2 * k_xy.mean()
    assert kid.compute() == pytest.approx(float(expected), rel=1e-3)
    assert torch.equal(BlotKID().inception(real), x.float()), "features are fixed"
    with pytest.raises(DataError, match=r"gone\.pth: no such file"):
        BlotKID(str(tmp_path / "gone.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth: not a ResNet-18 state dict"):
        BlotKID(str(tmp_path / "other.pth"))


def test_overfits_a_single_pair():
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 32)] * 2, indexing="ij")
    blot = (1 - 1.6 * torch.exp(-((x / 0.5) ** 4) - (y / 0.2) ** 2))[None]
    mask = torch.where(blot < 0, -1.0, 1.0)
    loader = DataLoader([(torch.cat([mask, mask]), blot, 0)] * 100)
    torch.manual_seed(0)
    model = BlotGAN(**BEST | {"generator_lr": 0.002})
    trainer().fit(model, loader)
    model.eval()
    l1 = (model(torch.cat([mask, mask])[None]) - blot).abs().mean() / 2
    assert l1 < 0.05, "of the 0-1 range; a grey image has 0.13"


@pytest.fixture
def blots(tmp_path):
    return write_blots(tmp_path / "data")


def test_killed_and_resumed_equals_uninterrupted(blots, tmp_path):
    # With all that has a state: schedulers, EMA, noise, augmentation, spectral norm.
    def args(name, *more):
        options = ["--trainer.max_epochs=3", "--data.batch_size=3", *more]
        return blots_args(blots, tmp_path / name, *options, config="blots_best")

    main(["fit", *args("whole")])
    assert stopped_fit(args("cut"), 1, "SIGKILL").returncode == -9
    main(["fit", *args("cut", "--ckpt_path=last")])

    whole, cut = (
        torch.load(one_run(tmp_path / name) / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("whole", "cut")
    )
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        torch.testing.assert_close(whole[part], cut[part], rtol=0, atol=0)
    assert len(whole["optimizer_states"]) == len(whole["lr_schedulers"]) == 2
    assert any(name.startswith("ema.") for name in whole["state_dict"])
    assert whole["global_step"] == cut["global_step"]
    metrics = [(one_run(tmp_path / name) / "metrics.csv").read_text() for name in ("whole", "cut")]
    assert metrics[0] == metrics[1]


def test_predicts_any_folder_under_the_templates_names_by_the_ema(blots, tmp_path):
    exact = "--trainer.precision=32-true"
    args = blots_args(blots, tmp_path, "--model.ema_decay=0.9", exact)
    main(["fit", *args, "--trainer.max_epochs=1", "--data.batch_size=4"])
    folder = one_run(tmp_path)
    other = write_blots(tmp_path / "other", triples=3, side=20)
    for path in (other / "wb_dataset").iterdir():
        path.unlink()
    last = f"--ckpt_path={folder}/checkpoints/last.ckpt"
    cli = main(["predict", *args, last, f"--data.predict_dir={other}"])
    files = sorted((folder / "predictions").iterdir())
    assert [p.name for p in files] == [f"BandMask_bg_000{n}.png" for n in range(3)]
    blot = Image.open(files[0])
    assert (blot.mode, blot.size) == ("L", (16, 16))
    cli.model.eval()
    with torch.no_grad():
        expected = cli.model.ema(cli.datamodule.predict_set[0][0][None])[0, 0]
    np.testing.assert_array_equal(np.array(blot), ((expected + 1) * 127.5).round().byte())


def test_two_processes(blots, tmp_path):
    two = ["--trainer.devices=2", "--trainer.strategy=ddp_find_unused_parameters_true"]
    args = blots_args(blots, tmp_path, "--trainer.max_epochs=1", *two)
    command = [sys.executable, "cli.py", "fit", *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    checkpoint = torch.load(one_run(tmp_path) / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4, "8 training triples over 2 processes"
