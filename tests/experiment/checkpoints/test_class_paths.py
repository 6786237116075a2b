"""A file names classes of the right kind, and nothing else is called."""

import pytest
import torch
from conftest import config_args
from torch import nn

from cli import main
from common.errors import DataError
from experiment.checkpoints.class_paths import TRUSTED, check_classes, find_class
from lit_models import VesselSegmenter

NOT_CLASSES = (
    "torchvision._internally_replaced_utils.load_state_dict_from_url",
    "torchvision.datasets.utils.download_url",
    "torch.nn.utils.parametrize.torch.save",
    "datamodules.images.np.load",
    "torch.hub.load",
    "numpy.load",
    "os.system",
)


@pytest.mark.parametrize("class_path", NOT_CLASSES)
@pytest.mark.parametrize("packages", [TRUSTED, None])
def test_functions_are_not_classes(class_path, packages):
    with pytest.raises(DataError, match=class_path.replace(".", r"\.")):
        find_class(class_path, (nn.Module,), packages)


@pytest.mark.parametrize(
    ("class_path", "message"),
    [
        ("torch.nn.modules.module.OrderedDict", "not a class that may be named"),
        ("torch.optim.Adam", "not a Module"),
        ("subprocess.Popen", "not a class of this project or torch"),
        ("lit_models_of_mine.Net", "not a class of this project or torch"),
    ],
)
def test_classes_of_another_kind_or_place(class_path, message):
    with pytest.raises(DataError, match=message):
        find_class(class_path, (nn.Module,), TRUSTED)


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "torch.hub.load"},
        {
            "network": {
                "class_path": "torch.nn.Sequential",
                "init_args": {"x": {"class_path": "os.system"}},
            }
        },
        {"lr_scheduler": {"class_path": "torch.nn.Linear"}},
        {"loss": {"class_path": "numpy.load", "init_args": {"file": "x"}}},
    ],
)
def test_arguments_are_checked_however_deep(values):
    check_classes({"network": {"class_path": "lit_models.networks.UNet"}}, VesselSegmenter, "model")
    with pytest.raises(DataError, match=r"^model\."):
        check_classes(values, VesselSegmenter, "model")


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize(
    ("config", "part"),
    [("retina", "network"), ("retina", "optimizer"), ("blots", "generator_optimizer")],
)
def test_a_checkpoint_cannot_call_a_function(tmp_path, monkeypatch, trained, verb, config, part):
    def called(*args, **kwargs):
        pytest.fail("the checkpoint's function was called")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", called)
    run = trained(config)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint["hyper_parameters"][part] = {
        "class_path": "torchvision.datasets.utils.download_url",
        "init_args": {"url": "http://localhost/x", "root": str(tmp_path)},
    }
    path = tmp_path / "changed.ckpt"
    torch.save(checkpoint, path)
    with pytest.raises(DataError, match=rf"changed\.ckpt: model\.{part}: .*download_url"):
        main([verb, *config_args(config, tmp_path), f"--ckpt_path={path}"])


@pytest.mark.parametrize("function", ["torch.hub.load", "numpy.load", "joblib.load"])
@pytest.mark.parametrize("option", ["model.loss", "model.optimizer", "trainer.callbacks"])
def test_a_config_cannot_either(tmp_path, function, option):
    with pytest.raises(DataError, match=option.split(".")[1]):
        main(["fit", *config_args("retina", tmp_path), f"--{option}={function}"])
    assert not list(tmp_path.iterdir())
