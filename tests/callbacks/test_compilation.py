"""Compiled networks train as the others do, and nobody else can tell."""

import pytest
import torch
from conftest import one_run
from torch import nn

from benchmarks import tiny_data
from cli import main
from inference import load


@pytest.fixture
def traced(monkeypatch):
    """`torch.compile` as far as its graphs, without the minute that a C++ compiler takes."""
    compile_in_place, modes = nn.Module.compile, []

    def compile_graphs(network, mode):
        modes.append(mode)
        compile_in_place(network, backend="aot_eager")

    monkeypatch.setattr(nn.Module, "compile", compile_graphs)
    return modes


def test_compiled_equals_eager_and_is_resumed_by_it(tmp_path, traced):
    tiny_data.write_all(tmp_path)
    states = []
    for name, first in (("eager", "null"), ("compiled", "reduce-overhead")):
        root = tmp_path / name
        fit = ["fit", *tiny_data.options("vessels_best"), f"--run.root={root}"]
        fit.append(f"--data.data_dir={tmp_path / 'drive'}")
        main([*fit, "--trainer.max_epochs=1", f"--compile={first}"])
        main([*fit, "--trainer.max_epochs=2", "--ckpt_path=last"])
        run = one_run(root)
        states.append(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True))
    assert traced == ["reduce-overhead"]
    for part in ("state_dict", "current_model_state"):  # the average, and what is trained
        torch.testing.assert_close(states[0][part], states[1][part], rtol=1e-4, atol=1e-5)
    image = next((tmp_path / "drive/test/images").iterdir())
    assert load(run).predict(image).probability.shape == (44, 40)
