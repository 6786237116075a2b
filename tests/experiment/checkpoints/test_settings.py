"""Which checkpoints make an ensemble, and what each of its members keeps."""

import pytest
import torch
from jsonargparse import Namespace

from cli import main
from common.errors import DataError
from experiment.checkpoints import Checkpoints


@pytest.fixture
def opened(tmp_path):
    """Ensembles of checkpoints with these settings."""

    def make(*members):
        paths = []
        for number, (network, data, temperature) in enumerate(members):
            path = tmp_path / f"{number}.ckpt"
            unet = {"class_path": "p.UNet", "init_args": {"widths": [4], "weights": "x"}}
            model = {"_class_path": "lit_models.VesselSegmenter", "network": unet | network}
            model["inference"] = {"temperature": temperature}
            data = {"image_size": 32, "fold": 0, "folds": 5, "seed": 0, **data}
            content = {"hyper_parameters": model, "datamodule_hyper_parameters": data}
            content |= {"pytorch-lightning_version": "2.6", "state_dict": {}}
            torch.save(content, path)
            paths.append(path)
        return Checkpoints.open(paths)

    return make


PLAIN = ({}, {}, None)


def test_members_may_differ_in_what_they_were_trained_on(opened):
    other = {"fold": 1, "seed": 3, "data_dir": "x", "augmentation": {"a": 1}}
    network = {"init_args": {"widths": [4], "weights": "random"}}
    assert not opened(PLAIN, (network, other, None)).share_validation
    assert opened(PLAIN, PLAIN).share_validation


@pytest.mark.parametrize(
    ("network", "data", "line"),
    [
        ({}, {"image_size": 64}, "data.image_size is 64, but 32 in .*0.ckpt"),
        ({"class_path": "p.Other"}, {}, "model.network is Other, but UNet"),
        ({"init_args": {"widths": [8]}}, {}, r"model.network.widths is \[8\], but \[4\]"),
    ],
)
def test_other_networks_and_other_preprocessing_are_refused(opened, network, data, line):
    with pytest.raises(DataError, match=f"1.ckpt: {line}"):
        opened(PLAIN, (network, data, None))


def test_each_member_has_its_own_temperature_unless_one_is_asked_for(opened):
    members = opened(({}, {}, 2.0), PLAIN)
    assert members.temperatures() == [2.0, 1.0]
    assert members.temperatures(3.0) == [3.0, 3.0]


def test_another_method_is_refused(opened):
    given = Namespace(model=Namespace(class_path="lit_models.ImageReconstructor"))
    line = "of VesselSegmenter, not ImageReconstructor; give its own config"
    with pytest.raises(DataError, match=line):
        opened(PLAIN).settings(given, [])


@pytest.mark.parametrize(
    ("options", "threshold", "tta"),
    [
        ([], 0.3, 4),
        (["--model.inference.threshold=0.6"], 0.6, 4),
        (["--model.init_args.inference.tta", "8"], 0.3, 8),
    ],
)
def test_inference_is_the_checkpoints_but_for_what_the_command_line_says(
    options, threshold, tta, tmp_path, trained, monkeypatch, caplog
):
    run = trained("vessels")
    lines = (run / "config.yaml").read_text().replace("threshold: 0.5", "threshold: 0.9")
    config = tmp_path / "other.yaml"
    config.write_text(lines)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["hyper_parameters"]["inference"] |= {"threshold": 0.3, "tta": 4}
    torch.save(checkpoint, tmp_path / "a.ckpt")
    monkeypatch.setattr("cli.CLI.run", lambda cli: None)
    args = [f"--config={config}", f"--ckpt_path={tmp_path / 'a.ckpt'}", *options]
    inference = main(["predict", *args]).model.inference
    assert (inference.threshold, inference.tta) == (threshold, tta)
    assert ("model.inference.threshold is the checkpoint's 0.3" in caplog.text) == (
        threshold == 0.3
    )
