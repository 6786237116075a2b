"""What `load` takes, and what it refuses, in one line."""

import pytest
import torch

from common.errors import DataError
from inference import load


@pytest.fixture
def changed(trained, tmp_path):
    """A copy of a config's checkpoint, after ``change`` had its dict."""

    def make(config, change):
        run = trained(config)
        checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        change(checkpoint)
        path = tmp_path / "changed.ckpt"
        torch.save(checkpoint, path)
        return path

    return make


class Evil:
    def __reduce__(self):
        return (print, ("owned",))


def test_a_checkpoint_runs_no_code(changed, capsys):
    path = changed("blots", lambda c: c.update(extra=Evil()))
    with pytest.raises(DataError, match="objects that would run code"):
        load(path)
    assert "owned" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("class_path", "message"),
    [
        ("os.system", "not a class of this project or torch; if you trust its code"),
        ("torch.nn.modules.module.OrderedDict", "not a class that may be named"),
        ("torch.nn.init.normal_", "not a class that may be named"),
        ("lit_models.networks.torchvision_classifier.small_cnn", "not a class that may be named"),
        ("lit_models.networks.torchvision_classifier.socket.socket", "does not exist"),
        ("lit_models.networks_of_mine.Net", "does not exist"),
        ("", "not a class of this project or torch"),
    ],
)
def test_foreign_classes_are_refused(changed, class_path, message):
    def change(checkpoint):
        checkpoint["hyper_parameters"]["generator"] = {"class_path": class_path}

    with pytest.raises(DataError, match=message) as error:
        load(changed("blots", change))
    assert "\n" not in str(error.value)


def test_a_named_package_is_trusted(changed, tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "from lit_models.networks import ReferenceGenerator\n"
        "class Mine(ReferenceGenerator):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def change(checkpoint):
        checkpoint["hyper_parameters"]["generator"] = {"class_path": "my_networks.Mine"}

    path = changed("blots", change)
    with pytest.raises(DataError, match=r"trusted=\['my_networks'\]"):
        load(path)
    assert type(load(path, trusted=["my_networks"]).network).__name__ == "Mine"


def test_sizes_that_the_weights_do_not_have_take_no_memory(changed):
    def change(checkpoint):
        widths = [10**5, 10**5]  # 360 GB in one layer
        checkpoint["hyper_parameters"]["network"]["init_args"]["widths"] = widths

    with pytest.raises(DataError, match="of its weights are not those of this model"):
        load(changed("retina", change))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["hyper_parameters"].pop("_class_path"),
        lambda c: c["hyper_parameters"].update(_class_path="elsewhere.Other"),
        lambda c: c["hyper_parameters"].pop("network"),
        lambda c: c["hyper_parameters"].update(network="unet"),
        lambda c: c["hyper_parameters"]["network"]["init_args"].update(depth=3),
        lambda c: c["datamodule_hyper_parameters"].update(size=10**9),
        lambda c: c["datamodule_hyper_parameters"].pop("size"),
        lambda c: c["state_dict"].popitem(),
        lambda c: c.pop("pytorch-lightning_version"),
    ],
)
def test_a_checkpoint_of_another_make_is_one_line(changed, change):
    path = changed("retina", change)
    with pytest.raises(DataError, match=str(path)) as error:
        load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:99"}, "device 'cuda:99': not to be had here"),
        ({"device": "toaster"}, "device 'toaster': not to be had here"),
        ({"precision": "64"}, "precision '64': unknown; give one of 32-true"),
        ({"batch_size": 0}, "batch_size 0: give 1 or more"),
    ],
)
def test_bad_options(trained, options, message):
    with pytest.raises(DataError, match=message) as error:
        load(trained("blots"), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("native", ["32-true", "bf16-mixed"])
def test_precision_is_the_training_s_where_it_is_native(changed, monkeypatch, native):
    monkeypatch.setattr("inference.loading.native_precision", lambda accelerator: native)
    path = changed(
        "blots", lambda c: c["callbacks"].update(ConvolutionLayout={"precision": "bf16-mixed"})
    )
    assert load(path, device="cpu").precision == native
    assert load(path, device="cpu", precision="32-true").precision == "32-true"
    path = changed("blots", lambda c: c["callbacks"].pop("ConvolutionLayout"))
    assert load(path, device="cpu").precision == "32-true"


def test_batch_size_is_that_of_the_evaluation(trained):
    assert load(trained("blots")).batch_size == 32
    assert load(trained("retina")).batch_size == 1
    assert load(trained("aoi")).batch_size == 32
    assert load(trained("aoi"), batch_size=3).batch_size == 3


def test_loading_draws_no_random_numbers(trained):
    run, state = trained("retina_best"), torch.get_rng_state()
    load(run)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_that_are_not_finite_are_refused(changed):
    def change(checkpoint):
        next(iter(checkpoint["state_dict"].values())).fill_(float("nan"))

    with pytest.raises(DataError, match=r"changed\.ckpt: .* is not finite"):
        load(changed("blots", change))
