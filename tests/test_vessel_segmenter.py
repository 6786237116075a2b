import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import stopped_fit
from PIL import Image
from torchmetrics.classification import BinaryAUROC

from cli import main
from lit_models import VesselSegmenter
from lit_models.vessel_scores import vessel_scores

ROOT = Path(__file__).parent.parent
CONFIGS = ["vessels", "vessels_best"]


def args(config, root, *more):
    """Arguments behind the subcommand for a tiny run on the built-in sample."""
    small = {
        "vessels": ["--model.widths=[4,8]", "--data.inputs.size=64"],
        "vessels_best": [
            "--model.widths=[4,8]",
            "--data.inputs.diameter=96",
            "--data.augmentation.crop=32",
            "--data.views_per_image=1",
        ],
    }
    return [
        f"--config={ROOT / 'configs' / config}.yaml",
        f"--run.root={root}",
        "--run.wandb=disabled",
        "--data.num_workers=0",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        *small[config],
        *more,
    ]


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_reference_has_31_million_parameters():
    count = sum(p.numel() for p in VesselSegmenter().parameters())
    assert count == pytest.approx(31e6, rel=0.005)


@pytest.mark.parametrize("config", CONFIGS)
def test_fit_test_predict(config, tmp_path):
    runs = tmp_path / "runs"
    quick = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    quick += ["--trainer.check_val_every_n_epoch=1", "--trainer.limit_val_batches=1"]
    run = Path(main(["fit", *args(config, runs, *quick)]).trainer.log_dir)
    main(["test", *args(config, runs, "--ckpt_path=last", "--trainer.limit_test_batches=2")])
    names = {name for row in rows(run) for name, value in row.items() if value}
    scores = ("dice", "iou", "mean_iou", "sensitivity", "specificity", "accuracy", "auroc")
    for region in ("fov", "frame"):
        for kind in ("pooled", "image_mean"):
            assert {f"test/{region}/{score}_{kind}" for score in scores} <= names
    assert {"train/loss", "val/loss", "val/fov/best_threshold_pooled"} <= names
    assert not any("test" in name and "threshold" in name for name in names)

    photos = tmp_path / "photos"
    photos.mkdir()
    sizes = {"wide.png": (90, 40), "tall.jpg": (33, 70)}
    for name, size in sizes.items():
        pixels = np.random.default_rng(0).integers(60, 200, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / name)
    main(["predict", *args(config, runs, "--ckpt_path=last", f"--data.predict_dir={photos}")])
    written = {path.name for path in (run / "predictions").iterdir()}
    assert written == {f"{n}_{k}.png" for n in ("wide", "tall") for k in ("mask", "probability")}
    for name, size in sizes.items():
        mask = Image.open(run / "predictions" / f"{Path(name).stem}_mask.png")
        probability = Image.open(run / "predictions" / f"{Path(name).stem}_probability.png")
        assert mask.size == probability.size == size
        assert set(np.unique(mask)) <= {0, 255}
        assert probability.mode.startswith("I;16")
        if config == "vessels":
            called = np.asarray(probability) / 65535 > 0.5
            assert np.array_equal(called, np.asarray(mask) > 0)


def test_the_best_has_104_thousand_parameters():
    model = VesselSegmenter("residual_unet", 3, [8, 16, 32, 64])
    assert sum(p.numel() for p in model.parameters()) == 103_729
    assert model(torch.randn(1, 3, 37, 50)).shape == (1, 1, 37, 50)


def batch_of_one(native=(48, 40), fov=True):
    truth = torch.zeros(1, *native, dtype=torch.bool)
    truth[:, 10:12] = True
    inside = torch.ones(1, *native, dtype=torch.bool)
    inside[:, :5] = False
    padded = torch.nn.functional.pad
    pad = (0, 64 - native[1], 0, 64 - native[0])
    return {
        "image": torch.randn(1, 1, 64, 64),
        "vessels": padded(truth, pad)[None],
        "fov": padded(inside, pad)[None],
        "native_vessels": [truth],
        "native_fov": [inside if fov else None],
        "input_size": torch.tensor([native]),
        "native_size": torch.tensor([native]),
        "name": ["a.png"],
        "index": torch.tensor([0]),
    }


def small(**kwargs):
    torch.manual_seed(0)
    return VesselSegmenter(widths=[4, 8], **kwargs).eval()


@torch.no_grad()
def test_tiles_agree_with_the_whole():
    whole, tiled = small(), small(tile=64)
    images = torch.randn(1, 1, 150, 203)
    a, b = whole.probability(images), tiled.probability(images)
    assert a.shape == b.shape == images.shape
    # But for what convolutions see beyond a tile's edge.
    assert (a - b).abs().mean() < 0.05 * a.std()
    assert [s.stop - s.start for s in tiled._spans(64)] == [64]
    for side in (65, 100, 129, 1000, 3000):
        spans = tiled._spans(side)
        assert spans[0].start == 0
        assert spans[-1].stop == side
        assert all(a.stop >= b.start + 8 for a, b in pairwise(spans))


@torch.no_grad()
@pytest.mark.parametrize("views", [4, 8])
def test_views_are_turned_back(views):
    model = small(views=views)
    images = torch.randn(1, 1, 32, 48)
    mirrored = model.probability(images.flip(-1)).flip(-1)
    assert torch.allclose(model.probability(images), mirrored, atol=1e-6)
    assert not torch.allclose(model.probability(images), small().probability(images), atol=1e-4)


@torch.no_grad()
def test_the_surest_scale_is_taken_for_each_image():
    class Surest(torch.nn.Module):
        """Logits that are far from 0 in images of one height."""

        def forward(self, x):
            return x[:, :1] * (9.0 if x.shape[-2] == 32 else 0.5)

    model = small(scales=[1.0, 0.5])
    model.network = Surest()
    high, low = torch.randn(2, 1, 64, 48), torch.randn(2, 1, 32, 48)
    for images, scale in ((high, 0.5), (low, 1.0)):
        p = model.probability(images)
        assert p.shape == images.shape
        assert torch.equal(p, model._viewed(images, scale, views=1))


@torch.no_grad()
def test_maps_come_back_to_native_size_and_stay_in_the_fov():
    batch = batch_of_one() | {"native_size": torch.tensor([[96, 80]])}
    maps = small(fov_only=True).predict_step(batch)["probability"]
    assert [m.shape for m in maps] == [(96, 80)]
    assert not maps[0][:9].any()
    assert maps[0][12:].all()
    assert small().predict_step(batch)["probability"][0][:9].all()


@pytest.mark.parametrize("loss", ["focal_tversky", "bce", "bce_dice"])
def test_every_loss_learns_one_image(loss):
    torch.manual_seed(0)
    model = VesselSegmenter(widths=[8, 16], loss=loss, fov_only=True)
    batch = batch_of_one()
    batch["image"] = batch["vessels"].float() + 0.1 * batch["image"]
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(25):
        losses.append(model.loss(model(batch["image"]), batch))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    empty = batch | {"vessels": torch.zeros_like(batch["vessels"])}
    model.loss(model(batch["image"]), empty).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_scores_of_one_image_and_of_the_pool():
    scores = vessel_scores("test/fov/")
    p = torch.tensor([0.9, 0.8, 0.3, 0.2])
    first = scores(p, torch.tensor([1, 0, 1, 0]))  # TP FP FN TN = 1 1 1 1
    second = scores(p, torch.tensor([1, 1, 0, 0]))  # 2 0 0 2
    pooled = scores.compute()  # 3 1 1 3
    for got, dice, iou, mean_iou, auroc in (
        (first, 1 / 2, 1 / 3, 1 / 3, 3 / 4),
        (second, 1, 1, 1, 1),
        (pooled, 3 / 4, 3 / 5, 3 / 5, None),
    ):
        assert got["test/fov/dice_pooled"] == pytest.approx(dice)
        assert got["test/fov/iou_pooled"] == pytest.approx(iou)
        assert got["test/fov/mean_iou_pooled"] == pytest.approx(mean_iou)
        if auroc is not None:
            assert got["test/fov/auroc_pooled"] == pytest.approx(auroc)
    assert pooled["test/fov/sensitivity_pooled"] == pytest.approx(3 / 4)
    assert pooled["test/fov/specificity_pooled"] == pytest.approx(3 / 4)


def test_binned_auroc_is_the_exact_one_to_4_places_and_its_memory_is_bounded():
    torch.manual_seed(0)
    truth = torch.rand(20_000) < 0.1
    p = (torch.randn(20_000) * 2 - 5 + 5 * truth).sigmoid()  # most of it close to 0, as in images
    p[~truth & (torch.rand(20_000) < 0.3)] = 0.0  # and some exactly there, outside the FOV
    scores = vessel_scores("", find_threshold=True)
    for part, target in zip(p.chunk(4), truth.long().chunk(4), strict=True):
        scores.update(part, target)
    got = scores.compute()
    assert got["auroc_pooled"].item() == pytest.approx(
        BinaryAUROC()(p, truth.long()).item(), abs=1e-4
    )
    same = BinaryAUROC(thresholds=scores["auroc"].thresholds)
    same.update(p, truth.long())
    assert torch.equal(same.confmat, scores["auroc"].confmat)
    assert scores["auroc"].confmat.numel() == 4004
    dice = [2 * ((p > t) & truth).sum() / ((p > t).sum() + truth.sum()) for t in (0.2, 0.8)]
    best = got["best_threshold_pooled"]
    assert 2 * ((p > best) & truth).sum() / ((p > best).sum() + truth.sum()) >= max(dice)


def test_the_threshold_is_the_configs_not_the_checkpoints():
    assert "threshold" not in VesselSegmenter(threshold=0.3).hparams


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    """Averaged weights, those being trained, and the place in the cycle all come back."""

    def arguments(root, *more):
        length = ["--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=1"]
        return args("vessels_best", root, *length, "--data.views_per_image=2", *more)

    main(["fit", *arguments(tmp_path / "whole")])
    stopped = stopped_fit(arguments(tmp_path / "cut"), 1, "SIGKILL")
    assert stopped.returncode == -9, stopped.stderr
    main(["fit", *arguments(tmp_path / "cut", "--ckpt_path=last")])
    whole, cut = (
        torch.load(
            next((tmp_path / name / "vessels_best").glob("*/checkpoints/last.ckpt")),
            weights_only=True,
        )
        for name in ("whole", "cut")
    )
    for part in ("state_dict", "current_model_state"):
        for name, value in whole[part].items():
            assert torch.equal(value, cut[part][name]), (part, name)
    trained, averaged = whole["current_model_state"], whole["state_dict"]
    assert any(not torch.equal(value, averaged[name]) for name, value in trained.items())
