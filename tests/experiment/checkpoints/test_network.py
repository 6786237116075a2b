"""A new training begins with another one's weights, as people have them."""

import pytest
import torch
from conftest import aoi_args, config_args, one_run, write_aoi

from cli import main
from common.errors import DataError
from experiment.checkpoints.network import initialize
from lit_models import VesselSegmenter
from lit_models.networks import UNet


def module(seed):
    torch.manual_seed(seed)
    network = UNet(widths=(4, 8))
    return VesselSegmenter(network, torch.nn.BCEWithLogitsLoss(), torch.optim.Adam)


SHAPES = {
    "plain": lambda state: state,
    "network alone": lambda state: {k.removeprefix("network."): v for k, v in state.items()},
    "nested": lambda state: {"epoch": 3, "state_dict": state},
    "wrapped": lambda state: {"model": {f"module.{k}": v for k, v in state.items()}},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_state_dicts_as_people_have_them(tmp_path, caplog, shape, suffix):
    source, model = module(0), module(1)
    state = SHAPES[shape](source.state_dict())
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    elif shape in ("plain", "network alone"):
        pytest.importorskip("safetensors.torch").save_file(
            {k: v.contiguous() for k, v in state.items()}, path
        )
    else:
        pytest.skip("safetensors hold tensors alone")
    initialize(model, str(path))
    for name, value in model.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name
    assert "init_from: " in caplog.text


def test_what_does_not_fit_is_named(tmp_path, caplog):
    path = tmp_path / "weights.pth"
    state = module(0).state_dict()
    first = next(iter(state))
    torch.save({k: v for k, v in state.items() if k != first}, path)
    initialize(module(1), str(path))
    assert f"; new are {first}\n" in caplog.text
    torch.save({"other": torch.zeros(3)}, path)
    with pytest.raises(DataError, match="none of its 1 weights fits this network"):
        initialize(module(1), str(path))
    path.write_bytes(b"no weights")
    with pytest.raises(DataError, match="not a state dict"):
        initialize(module(1), str(path))
    with pytest.raises(DataError, match="no such file"):
        initialize(module(1), str(tmp_path / "gone.pth"))


def test_the_head_is_new_where_classes_differ(tmp_path, caplog):
    first = write_aoi(tmp_path / "first", images_per_class=4)
    main(["fit", *aoi_args(first, tmp_path / "runs", "--trainer.max_epochs=1")])
    run = one_run(tmp_path / "runs")
    backbone = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    second = tmp_path / "second"
    for index, name in enumerate(sorted((first / "train_images").iterdir())):
        target = second / ("good" if index % 2 else "bad") / name.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(name.read_bytes())
    args = aoi_args(second, tmp_path / "more", "--trainer.max_epochs=1", f"--model.init_from={run}")
    model = main(["fit", *args]).model
    name = next(k for k in backbone if "backbone" in k and k.endswith("weight"))
    assert torch.equal(model.state_dict()[name], backbone[name])
    assert model.network.head.out_features == 2
    assert "; new are network.head.weight, network.head.bias\n" in caplog.text


def test_it_begins_a_new_training_alone(tmp_path):
    args = config_args("blots", tmp_path, "--init_from=x")
    for verb, more in (("validate", ["--ckpt_path=y"]), ("fit", ["--ckpt_path=y"])):
        with pytest.raises(DataError, match="init_from: starts a new fit"):
            main([verb, *args, *more])
