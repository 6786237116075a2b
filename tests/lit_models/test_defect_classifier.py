import csv
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from callbacks.hardware import ask_cuda_directly
from conftest import ROOT, aoi_args
from torchvision.models import resnet18

from cli import main
from datamodules.errors import DataError
from lit_models.defect_classifier import DefectClassifier, read_backbone


def fit(folder, root, *more):
    cli = main(["fit", *aoi_args(folder, root, "--trainer.max_epochs=2", *more)])
    return cli.model, Path(cli.trainer.log_dir)


@pytest.mark.parametrize("cache", ["true", "false"])
def test_frozen_backbone_does_not_move(aoi_folder, tmp_path, cache):
    torch.manual_seed(42)
    model, _ = fit(aoi_folder, tmp_path, f"--data.cache_features={cache}")
    torch.manual_seed(42)
    fresh = DefectClassifier(weights=None).backbone.state_dict()
    assert any("running_mean" in name for name in fresh)
    moved = [n for n, value in model.backbone.state_dict().items() if "num_batches" in n and value]
    assert not moved
    running = {n: v for n, v in model.backbone.state_dict().items() if "running_" in n}
    assert all(torch.equal(value, fresh[name]) for name, value in running.items())


def test_only_fc_is_trained_unless_told():
    frozen = DefectClassifier(weights=None)
    (group,) = frozen.configure_optimizers().param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in frozen.fc.parameters()}
    assert not frozen.train().backbone.training
    whole = DefectClassifier(weights=None, freeze=False)
    (group,) = whole.configure_optimizers().param_groups
    assert len(group["params"]) == len(list(whole.parameters()))
    assert whole.train().backbone.training


def test_unfrozen_network_moves_and_uses_no_cache(aoi_folder, tmp_path, caplog):
    model, _ = fit(aoi_folder, tmp_path, "--model.freeze=false")
    assert "feature cache: off, the backbone is trained" in caplog.text
    assert model.backbone.bn1.num_batches_tracked > 0


def test_feature_cache_is_bounded(aoi_folder, tmp_path, caplog):
    limit = "--trainer.callbacks.limit_gib=0.00001"
    args = aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=1")
    cli = main(["fit", *args, "--trainer.callbacks=callbacks.FeatureCache", limit])
    assert not cli.datamodule.features
    assert "feature cache: off, it would take more than 1e-05 GiB" in caplog.text


def test_memory_format_is_an_option(aoi_folder, tmp_path, caplog):
    for layout in ("channels_last", "contiguous"):
        folder = tmp_path / layout
        args = aoi_args(aoi_folder, folder, "--trainer.max_epochs=1", f"--memory_format={layout}")
        model = main(["fit", *args]).model
        weight = model.backbone.layer1[0].conv1.weight
        assert weight.is_contiguous() == (layout == "contiguous")
        assert f"memory format {layout} on cpu" in caplog.text


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's")
@pytest.mark.parametrize("keep", [True, False])
def test_freed_memory_is_kept_unless_told_otherwise(aoi_folder, tmp_path, keep):
    args = aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=1", f"--keep_freed_memory={keep}")
    script = (
        "import resource, sys, torch, cli\n"
        "cli.main(sys.argv[1:])\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def fill():\n"
        "    before = faults()\n"
        "    torch.ones(2**24)\n"
        "    return faults() - before\n"
        "print('faults', min(fill() for _ in range(10)))\n"
    )
    command = [sys.executable, "-c", script, "fit", *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    faults = int(done.stdout.rpartition("faults ")[2])
    assert (faults < 1000) == keep, "64 MiB are 16,384 pages"


@pytest.mark.parametrize("cuda", [True, False])
def test_nvml_is_asked_for_devices_only_where_cuda_is(monkeypatch, cuda):
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    ask_cuda_directly()
    assert os.environ[name] == ("1" if cuda else "0")


def test_feature_cache_trains_the_same_fc(aoi_folder, tmp_path, caplog):
    cached, _ = fit(aoi_folder, tmp_path / "on")
    assert "feature cache: one backbone pass" in caplog.text
    plain, _ = fit(aoi_folder, tmp_path / "off", "--data.cache_features=false")
    assert "feature cache: off by config" in caplog.text
    torch.testing.assert_close(cached.fc.weight, plain.fc.weight, rtol=1e-4, atol=1e-5)
    assert not torch.equal(cached.fc.weight, DefectClassifier(weights=None).fc.weight)


def test_test_repeats_the_validation_metrics_and_predict_writes_every_row(aoi_folder, tmp_path):
    _, folder = fit(aoi_folder, tmp_path)
    validated = main(["validate", *aoi_args(aoi_folder, tmp_path, "--ckpt_path=last")])
    assert Path(validated.trainer.log_dir) == folder, "a checkpoint's results go to its own folder"
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/loss"]]
    assert float(rows[-1]["val/loss"]) == float(rows[1]["val/loss"])

    tested = main(["test", *aoi_args(aoi_folder, tmp_path, "--ckpt_path=best")])
    assert 0 <= tested.trainer.callback_metrics["test/accuracy"] <= 1

    main(["predict", *aoi_args(aoi_folder, tmp_path, "--ckpt_path=best")])
    with (aoi_folder / "test.csv").open() as file:
        expected = [row["ID"] for row in csv.DictReader(file)]
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["ID", "Label"]
    assert [row[0] for row in rows[1:]] == expected
    with (folder / "probabilities.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0][1:] == ["normal", "void", "horizontal", "vertical", "edge", "particle"]
    for (_, label), (_, *probabilities) in zip(rows[1:], table[1:], strict=True):
        values = [float(p) for p in probabilities]
        assert sum(values) == pytest.approx(1, abs=1e-4)
        assert values.index(max(values)) == int(label)


def test_predict_takes_a_plain_folder(aoi_folder, tmp_path):
    _, folder = fit(aoi_folder, tmp_path)
    images = f"--data.predict_dir={aoi_folder / 'train_images'}"
    # Not even data_dir is read for it.
    main(["predict", *aoi_args(None, tmp_path, images, "--ckpt_path=best")])
    assert len((folder / "predictions.csv").read_text().splitlines()) == 1 + 48


def test_weights_file_is_read_and_its_faults_are_named(tmp_path):
    network = resnet18()
    path = tmp_path / "net.pth"
    torch.save(network.state_dict(), path)
    state = read_backbone(str(path))
    assert torch.equal(state["conv1.weight"], network.conv1.weight)
    assert not any(name.startswith("fc.") for name in state)

    bad = network.state_dict()
    del bad["conv1.weight"]
    torch.save(bad, path)
    with pytest.raises(DataError, match=r"net\.pth: .*differs in conv1\.weight"):
        read_backbone(str(path))
    bad = network.state_dict() | {"fc.weight": torch.zeros(7, 512)}
    torch.save(bad, path)
    with pytest.raises(DataError, match=r"net\.pth: fc\.weight has the shape \(7, 512\)"):
        read_backbone(str(path))
    path.write_text("not weights")
    with pytest.raises(DataError, match=r"net\.pth: not a state dict"):
        read_backbone(str(path))
    with pytest.raises(DataError, match=r"nowhere\.pth: no such weights file"):
        read_backbone("nowhere.pth")


@pytest.fixture
def no_internet(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no internet")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)


def test_unreachable_imagenet_weights_are_an_error_on_real_data(aoi_folder, tmp_path, no_internet):
    with pytest.raises(DataError, match=r"resnet18-.*\.pth: not there and cannot be downloaded"):
        fit(aoi_folder, tmp_path, "--model.weights=IMAGENET1K_V1")
    assert not list(tmp_path.glob("aoi/*/metrics.csv"))
    assert not any((tmp_path / "aoi").glob("20*"))


def test_unreachable_imagenet_weights_become_random_on_the_sample(tmp_path, no_internet, caplog):
    limits = ["--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1"]
    _, folder = fit(None, tmp_path, "--model.weights=IMAGENET1K_V1", *limits)
    record = json.loads((folder / "run.json").read_text())
    assert record["weights"] == "random"
    assert record["sample"] is True
    assert "weights: random" in (folder / "config.yaml").read_text()
    assert "SAMPLE DATA" in caplog.text
    assert "RANDOM WEIGHTS" in caplog.text
