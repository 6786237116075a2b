"""The style reaches the blot, and what training keeps suffices for prediction."""

import pytest
import torch
from conftest import config_args, one_run, quiet_trainer
from torch.utils.data import DataLoader

from cli import main
from datamodules.blot_style import NAMES
from lit_models import StyledBlotGAN
from lit_models.losses import CenteredBCEAdversarialLoss, MSESSIMLoss, SpectrumLoss
from lit_models.networks import DiffAugment, StyledBlotDiscriminator, StyledBlotGenerator
from lit_models.networks.styled_blot_generator import render_blot, typical_style
from lit_models.optim import LinearDecay


def adam(params):
    return torch.optim.Adam(params, 0.0006, (0.5, 0.99), fused=True)


def make(**parts):
    torch.manual_seed(0)
    return StyledBlotGAN(
        StyledBlotGenerator(4, 8, 2),
        StyledBlotDiscriminator(4),
        SpectrumLoss(),
        style_bank_size=10,
        adversarial_loss=CenteredBCEAdversarialLoss(),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        reconstruction_loss=MSESSIMLoss(),
        discriminator_augmentation=DiffAugment(0, 4),
        lr_scheduler=LinearDecay(),
        **parts,
    )


def style(**numbers):
    vector = typical_style()
    for name, value in numbers.items():
        vector[NAMES.index(name)] = value
    return vector


def templates(count=1, height=32, width=32):
    pair = torch.ones(count, 2, height, width)
    pair[:, :, 8:20, 6:26] = -1
    return pair


def item(index):
    own = style(paper=150 + 8 * index, band=20 + 5 * index)
    image = templates()[0]
    image[:, :, index] = -1
    target = render_blot(image[None], own[None])[0]
    return {"image": image, "target": target, "style": own, "membrane": index % 3, "index": index}


def loader(count=6):
    return DataLoader([item(i) for i in range(count)], batch_size=3)


def predict(model, style_of=None, count=3, image=None):
    image = templates(1) if image is None else image
    asked = torch.full((8,), torch.nan) if style_of is None else style_of
    batch = {
        "image": image.expand(count, -1, -1, -1),
        "style": asked.expand(count, -1),
        "sample": torch.arange(1, count + 1),
        "index": torch.arange(count),
        "name": ["a.png"] * count,
    }
    with torch.no_grad():
        return model.eval().predict_step(batch)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_trains_and_scores(precision):
    model = make()
    before = [p.clone() for p in model.parameters()]
    run = quiet_trainer(precision=precision)
    run.fit(model, loader(), loader())
    assert run.global_step == 4, "two updates a batch"
    assert all(value.isfinite() for value in run.callback_metrics.values())
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)


def test_scores_are_the_same_however_the_blots_are_spread_over_batches():
    """And so over processes: the grain of each is drawn by its own templates."""
    model, found = make(), []
    for size in (6, 1):
        batches = DataLoader([item(i) for i in range(6)], batch_size=size)
        (scores,) = quiet_trainer().validate(model, batches, verbose=False)
        found.append(scores)
    assert found[0] == pytest.approx(found[1], rel=1e-4, abs=1e-5)


def test_a_blot_has_the_gray_levels_that_are_asked_for():
    for paper, band in ((230, 20), (140, 80)):
        blots = predict(make(), style(paper=paper, band=band, blur=0.5, noise=1))["image"].float()
        assert blots[:, :, :4].median() == pytest.approx(paper, abs=8)
        assert blots[:, :, 12:16, 10:20].median() == pytest.approx(band, abs=8)


def test_grain_and_blur_follow_the_style():
    def grain(blots):
        return float(blots["image"].float().diff(dim=3)[:, :, :4].std())

    def steepest(blots):
        return float(blots["image"].float().diff(dim=3).abs()[:, :, 12:16].max())

    model = make()
    less = grain(predict(model, style(noise=8)))
    model.generator.eval_grain = 1.0
    assert grain(predict(model, style(noise=8))) > 1.4 * less
    assert grain(predict(model, style(noise=8))) > 3 * grain(predict(model, style(noise=1)))
    sharp, soft = (predict(model, style(blur=b, noise=0, grain=0)) for b in (0.5, 4))
    assert steepest(sharp) > 2 * steepest(soft)


def test_styles_of_training_are_kept_and_drawn_from(tmp_path):
    model = make()
    quiet_trainer().fit(model, loader())
    kept = model.style_bank[model.style_bank[:, 0] >= 0]
    assert len(kept) == 6
    torch.testing.assert_close(kept[:, 1:], torch.stack([item(i)["style"] for i in range(6)]))
    drawn = predict(model)["style"]
    assert all(any(torch.equal(one, known) for known in kept[:, 1:]) for one in drawn)
    assert len({float(one[0]) for one in drawn}) == 3, "three membranes"

    other = make()
    other.load_state_dict(model.state_dict())
    again = predict(other)
    assert torch.equal(again["style"], drawn)
    assert torch.equal(again["image"], predict(model)["image"])


def test_samples_differ_and_the_first_is_the_only_one():
    model = make()
    images = predict(model, style(noise=4))["image"]
    assert not torch.equal(images[0], images[1])
    assert torch.equal(predict(model, style(noise=4), count=1)["image"][0], images[0])


@pytest.mark.parametrize(("height", "width"), [(37, 50), (100, 200), (16, 16)])
def test_any_size(height, width):
    image = templates(1, height, width)
    blots = predict(make(), style(paper=220, band=30), 1, image)["image"]
    assert blots.shape == (1, 1, height, width)
    assert blots.dtype == torch.uint8


def test_the_middle_is_where_real_and_generated_are_as_often_mistaken():
    network = StyledBlotDiscriminator(4)
    torch.manual_seed(0)
    network.middle.fill_(7)
    real, fake = torch.randn(400, 1).exp() - 1, torch.randn(300, 1) - 1  # skewed as a D's are
    network.set_middle(real, fake)
    above = network.middle - 7
    wrong = float((real < above).float().mean()), float((fake >= above).float().mean())
    assert wrong[0] == pytest.approx(wrong[1], abs=0.01)
    assert above < (real.mean() + fake.mean()) / 2
    real, fake = torch.tensor([[3.0], [4.0]]), torch.tensor([[1.0], [2.0], [2.5]])
    network.middle.zero_()
    network.set_middle(real, fake)
    assert 2.5 < network.middle <= 3
    view = torch.zeros(1, 6, 32, 32)
    network.eval()
    raw = network.score(view) + network.middle
    network.middle.zero_()
    torch.testing.assert_close(network.score(view), raw)


def test_the_middle_is_of_the_weights_that_a_checkpoint_holds(tmp_path):
    short = ["--trainer.max_epochs=2", "--trainer.limit_train_batches=2"]
    cli = main(["fit", *config_args("blots_style", tmp_path, *short)])
    checkpoint = one_run(tmp_path) / "checkpoints" / "last.ckpt"
    model = StyledBlotGAN.load_from_checkpoint(checkpoint, map_location="cpu").eval()
    kept = model.discriminator.middle.clone()
    assert kept != 0
    cli.trainer.state.fn, cli.trainer.sanity_checking, model.trainer = "fit", False, cli.trainer
    with torch.no_grad():
        model.on_validation_epoch_start()
    torch.testing.assert_close(model.discriminator.middle, kept, atol=1e-6, rtol=1e-3)


def test_losses():
    image = torch.rand(2, 1, 32, 32) * 2 - 1
    assert SpectrumLoss(2)(image, image) == 0
    assert SpectrumLoss(2)(image, image.roll(3, 3)) < SpectrumLoss(2)(image, image / 2)
    centered = CenteredBCEAdversarialLoss(1)
    one = torch.ones(4, 1)
    drifted = centered.discriminator(one, one) - CenteredBCEAdversarialLoss(0).discriminator(
        one, one
    )
    assert float(drifted) == pytest.approx(4)
