"""Reconstruction: ranges, the honest bottleneck, the command line from fit to predict."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cli import main
from lit_models import ImageReconstructor
from lit_models.compressor import Compressor, ContextPrior, laplace_bits

ROOT = Path(__file__).parent.parent
CONFIGS = ["retina", "retina_best", "retina_compress"]


def args(config, root, *more):
    """Arguments behind the subcommand for a tiny run on the built-in sample."""
    return [
        f"--config={ROOT / 'configs' / config}.yaml",
        f"--run.root={root}",
        "--run.wandb=disabled",
        "--model.widths=[4,8,8]",
        "--data.num_workers=0",
        "--data.size=64",
        "--data.crop=null",
        "--data.crops_per_image=1",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        *more,
    ]


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def compressor(**changes):
    arguments = {"in_channels": 3, "latent_channels": 4, "widths": (4, 8), "patch": 2, **changes}
    return Compressor(**arguments)


def smooth_images(count=3, size=32):
    """Images in [-1, 1] that a few block coefficients describe well."""
    grid = torch.linspace(-1, 1, size)
    phases = torch.arange(1.0, count + 1)
    waves = [torch.sin(p * grid)[:, None] * torch.cos(grid / p)[None] for p in phases]
    return [torch.stack([wave, wave * 0.5, -wave]) * 0.8 for wave in waves]


@pytest.mark.parametrize("config", CONFIGS)
def test_fit_test_predict(config, tmp_path):
    runs = tmp_path / "runs"
    quick = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    run = Path(main(["fit", *args(config, runs, *quick)]).trainer.log_dir)
    main(["test", *args(config, runs, "--ckpt_path=last", "--trainer.limit_test_batches=2")])
    names = {name for row in rows(run / "metrics.csv") for name, value in row.items() if value}
    assert {"train/loss", "val/loss", "val/psnr", "val/ssim", "test/psnr", "test/ssim"} <= names
    assert ("test/bits_per_pixel" in names) == (config == "retina_compress")

    photos = tmp_path / "photos"
    photos.mkdir()
    sizes = {"wide.png": (90, 40), "tall.jpg": (33, 70)}
    for name, size in sizes.items():
        pixels = np.random.default_rng(0).integers(60, 200, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / name)
    predict = ["predict", *args(config, runs, "--ckpt_path=last", f"--data.predict_dir={photos}")]
    for own_size in ("64", "null"):
        main([*predict, f"--data.size={own_size}"])
        assert {path.name for path in (run / "predictions").iterdir()} == {"wide.png", "tall.png"}
        for name, size in sizes.items():
            with Image.open(run / "predictions" / f"{Path(name).stem}.png") as image:
                assert (image.size, image.mode) == (size, "RGB")
        table = rows(run / "reconstructions.csv")
        assert [row["name"] for row in table] == ["tall.jpg", "wide.png"]
        assert all(0 < float(row["psnr"]) < 60 and float(row["ssim"]) <= 1 for row in table)


def test_the_reference_has_7_7_million_parameters():
    count = sum(p.numel() for p in ImageReconstructor().parameters())
    assert count == 7_701_827


def batch(image, height, width):
    sizes = torch.tensor([[height, width]])
    return {
        "image": image[None],
        "input_size": sizes,
        "native_size": sizes,
        "name": ["a.png"],
        "index": torch.tensor([0]),
    }


class Constant(nn.Module):
    """A network whose reconstruction is a given image."""

    def __init__(self, image):
        super().__init__()
        self.image = image

    def forward(self, images):
        return self.image.expand_as(images)


def logged(module, monkeypatch):
    """What the module logs: values by name."""
    found = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: found.update({name: float(value)}))
    monkeypatch.setattr(
        module,
        "log_dict",
        lambda metrics, **_: found.update({k: float(v) for k, v in metrics.compute().items()}),
    )
    return found


def test_loss_is_in_the_signed_range_and_psnr_in_the_unit_range(monkeypatch):
    """An error of 0.2 everywhere in [-1, 1] is 0.1 in [0, 1]: MSE 0.04, PSNR 20 dB."""
    module = ImageReconstructor(widths=(4, 8))
    module.network = Constant(torch.tensor(0.2))
    found = logged(module, monkeypatch)
    module.validation_step(batch(torch.zeros(3, 32, 32), 32, 32))
    assert found["val/loss"] == pytest.approx(0.04)
    assert found["val/psnr"] == pytest.approx(20.0, abs=1e-4)


def test_scores_and_latents_do_not_lose_digits_under_autocast(monkeypatch):
    ramp = torch.linspace(-1, 1, 64).expand(3, 64, 64)
    module = ImageReconstructor(widths=(4, 8))
    module.network = Constant(ramp + 0.01 * torch.randn(3, 64, 64))
    found = logged(module, monkeypatch)
    module.validation_step(batch(ramp, 64, 64))
    exact = dict(found)
    with torch.autocast("cpu", torch.bfloat16):
        module.validation_step(batch(ramp, 64, 64))
    assert found == pytest.approx(exact, abs=1e-4)
    net = compressor()
    net.fit_linear([torch.rand(3, 64, 64) * 2 - 1 for _ in range(4)])
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    latent = net.encode(image)
    assert latent.abs().max() > 64, "large enough for bf16 to round it"
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(net.encode(image), latent)


def test_psnr_is_the_mean_over_images(monkeypatch):
    """10 dB and 40 dB have the mean 25 dB; their pooled error would give 13 dB."""
    module = ImageReconstructor(widths=(4, 8))
    module.network = Constant(torch.tensor(0.0))
    found = logged(module, monkeypatch)
    for unit_error in (10**-0.5, 10**-2.0):
        module.validation_step(batch(torch.full((3, 32, 32), 2 * unit_error), 32, 32))
    assert found["val/psnr"] == pytest.approx(25.0, abs=1e-3)


def test_padding_counts_for_nothing(monkeypatch):
    image = torch.zeros(3, 64, 64)
    image[:, 40:], image[..., 50:] = 1.0, 1.0
    module = ImageReconstructor(widths=(4, 8))
    module.network = Constant(torch.tensor(0.2))
    found = logged(module, monkeypatch)
    module.test_step(batch(image, 40, 50))
    assert found["test/loss"] == pytest.approx(0.04)
    assert found["test/psnr"] == pytest.approx(20.0, abs=1e-4)
    result = module.predict_step(batch(image, 40, 50))
    assert result["image"][0].shape == (3, 40, 50)
    assert result["psnr"] == pytest.approx([20.0], abs=1e-4)


def blocks_of(images, side):
    """Every ``side x side`` block of ``(N, C, H, W)`` as a row."""
    rows_ = images.unfold(2, side, side).unfold(3, side, side)
    return rows_.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2).double()


def pca_copies(images, side, count):
    blocks = blocks_of(images, side)
    mean = blocks.mean(0)
    basis = torch.linalg.svd(blocks - mean, full_matrices=False)[2][:count]
    return (blocks - mean) @ basis.T @ basis + mean


@torch.no_grad()
def test_before_training_a_compressor_is_at_least_the_pca_of_its_blocks():
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = torch.nn.functional.avg_pool2d(images, 7, 1, 3) * 4
    net = compressor(latent_channels=6)
    net.fit_linear(images)
    blocks = blocks_of(images, net.side)
    pca = (pca_copies(images, net.side, 6) - blocks).square().mean()
    fitted = (blocks_of(net(images), net.side) - blocks).square().mean()
    assert fitted < 0.95 * pca


@torch.no_grad()
def test_a_compressor_finds_what_few_values_describe_exactly():
    """Four block patterns and any mixture of them need four values."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(4, 3, 4, 4, generator=generator) - 0.5
    amounts = torch.rand(6, 8, 8, 4, generator=generator) - 0.5
    images = torch.einsum("nijk,kcyx->nciyjx", amounts, patterns).reshape(6, 3, 32, 32)
    net = compressor()
    net.fit_linear(images, ridge=1e-3)
    assert (net(images) - images).abs().max() < 0.02


def test_the_dead_zone_draws_towards_zero():
    net = compressor(dead_zone=0.2)
    values = torch.tensor([-300.0, -1.8, -0.6, 0.1, 0.6, 0.8, 1.6, 300.0])
    assert net.quantise(values).tolist() == [-128, -2, 0, 0, 0, 1, 1, 127]


def test_a_compressors_output_is_a_function_of_its_integers():
    net = compressor(step=0.05)
    net.fit_linear(smooth_images())
    images = torch.stack(smooth_images())
    integers = net.quantise(net.encode(images))
    assert torch.equal(integers, integers.round())
    assert integers.min() >= -128
    assert integers.max() <= 127
    assert integers.shape[1:] == net.latent_shape(32, 32)
    # The same through the bytes that a file would hold.
    again = torch.from_numpy(integers.detach().numpy().astype(np.int8)).float()
    torch.testing.assert_close(net.decode(again), net(images))


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 9)])
def test_a_compressor_takes_any_size(size):
    net = compressor()
    assert net(torch.zeros(2, 3, *size)).shape == (2, 3, *size)


def test_rounding_lets_the_gradient_through():
    net = compressor(step=0.5)
    net.fit_linear(smooth_images())
    copies, bits = net.reconstruct(torch.stack(smooth_images()))
    (copies.square().mean() + bits).backward()
    for part in (net.analysis, net.to_latent, net.synthesis, net.prior.head):
        assert part.weight.grad is not None
        assert part.weight.grad.abs().sum() > 0


def test_the_prior_sees_only_what_was_decoded_before():
    torch.manual_seed(0)
    prior = ContextPrior(2, hidden=8)
    nn.init.normal_(prior.head.weight)
    latent = torch.randn(1, 2, 5, 6)
    changed = latent.clone()
    changed[..., 2, 3] += 1.0
    before, after = (prior(x, torch.ones(2, 1, 1))[0] for x in (latent, changed))
    moved = (before != after).any(dim=1)[0].nonzero().tolist()
    assert moved
    assert all((row, column) > (2, 3) for row, column in moved)


def test_laplace_bits_are_those_of_a_distribution():
    values = torch.arange(-60.0, 61.0)
    bits = laplace_bits(values, torch.tensor(0.3), torch.tensor(2.0))
    assert float((2**-bits).sum()) == pytest.approx(1.0, abs=1e-3)
    probability = 1 - math.exp(-0.5 / 2)  # within half a step of the mean
    exact = laplace_bits(torch.tensor(0.0), torch.tensor(0.0), torch.tensor(2.0))
    assert float(exact) == pytest.approx(-math.log2(probability), rel=1e-4)


@torch.no_grad()
def test_the_latent_survives_its_own_bytes():
    """What the prior expects little of costs many bits, but comes back all the same."""
    pytest.importorskip("constriction", reason="needs the extra `bench`")
    from benchmarks.compression import PriorCoder

    torch.manual_seed(0)
    prior, spread = ContextPrior(3, hidden=8), torch.tensor([9.0, 3.0, 1.0]).view(3, 1, 1)
    nn.init.normal_(prior.head.weight, std=0.1)
    coder = PriorCoder(prior, spread)
    integers = (torch.randn(3, 6, 5) * spread).round().int()
    integers[:, 2, 2] = torch.tensor([-128, 127, 90])
    data = coder.encode(integers.numpy())
    assert np.array_equal(coder.decode(data, 6, 5), integers.numpy())
    latent = integers[None].float()
    estimate = laplace_bits(latent, *prior(latent, spread)).sum()
    assert 8 * len(data) == pytest.approx(float(estimate), rel=0.1, abs=64)


def test_a_resumed_run_keeps_its_transform(tmp_path):
    """The linear fit is of the first start alone: going on must not undo what was learnt."""
    quick = ["--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1"]
    runs = tmp_path / "runs"
    long = args("retina_compress", runs, *quick, "--model.lr=0", "--model.linear_lr=0.01")
    first = main(["fit", *long, "--trainer.max_epochs=1"]).model.network
    weight = first.analysis.weight.detach().clone()
    last = next(runs.rglob("last.ckpt"))
    module = ImageReconstructor.load_from_checkpoint(last)
    assert torch.equal(module.network.analysis.weight, weight)
    assert bool(module.network.fitted)
    module.on_fit_start()  # without a trainer it could only fail if it read images again
    assert torch.equal(module.network.analysis.weight, weight)


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match="skips"):
        ImageReconstructor(widths=(4, 8), latent_channels=4)
    with pytest.raises(ValueError, match="fewer values"):
        compressor(latent_channels=200)
