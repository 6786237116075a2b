"""Networks are stored as is fastest; compiled ones train as the others do."""

from types import SimpleNamespace

import pytest
import torch
from conftest import one_run
from torch import nn

from benchmarks import tiny_data
from callbacks import compilation
from callbacks.compilation import ConvolutionLayout
from cli import main
from inference import load


@pytest.mark.parametrize(
    ("native", "stored"),
    [
        (torch.channels_last, torch.channels_last),
        (torch.contiguous_format, torch.channels_last),  # as the network chose for itself
    ],
)
def test_layout_and_precision(monkeypatch, caplog, native, stored):
    monkeypatch.setattr(compilation, "native_memory_format", lambda device: native)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer = SimpleNamespace(strategy=strategy, precision="bf16-mixed")
    module, callback = nn.Conv2d(2, 3, 3), ConvolutionLayout()
    if native != stored:
        module.to(memory_format=stored)
    callback.setup(trainer, module, "fit")
    assert module.weight.is_contiguous(memory_format=stored)
    assert f"memory format {str(native)[6:]}" in caplog.text
    # By this name and key `experiment.checkpoints` reads it.
    assert callback.state_key == "ConvolutionLayout"
    assert callback.state_dict() == {"precision": "bf16-mixed"}


@pytest.fixture
def traced(monkeypatch):
    """`torch.compile` as far as its graphs, without the minute that a C++ compiler takes."""
    compile_in_place, modes = nn.Module.compile, []

    def compile_graphs(network, mode):
        modes.append(mode)
        compile_in_place(network, backend="aot_eager")

    monkeypatch.setattr(nn.Module, "compile", compile_graphs)
    return modes


def test_compiled_equals_eager_and_is_resumed_by_it(data, tmp_path, traced):
    states = []
    for name, first in (("eager", "null"), ("compiled", "reduce-overhead")):
        root = tmp_path / name
        fit = ["fit", *tiny_data.options("vessels_best"), f"--run.root={root}"]
        fit.append(f"--data.data_dir={data / 'drive'}")
        main([*fit, "--trainer.max_epochs=1", f"--compile={first}"])
        main([*fit, "--trainer.max_epochs=2", "--ckpt_path=last"])
        run = one_run(root)
        states.append(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True))
    assert traced == ["reduce-overhead"]
    for part in ("state_dict", "current_model_state"):  # the average, and what is trained
        torch.testing.assert_close(states[0][part], states[1][part], rtol=1e-4, atol=1e-5)
    image = next((data / "drive/test/images").iterdir())
    assert load(run).predict(image).probability.shape == (44, 40)
