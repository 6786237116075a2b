"""Weights are stored as is fastest."""

from types import SimpleNamespace

import pytest
import torch

from callbacks import convolution_layout
from callbacks.convolution_layout import ConvolutionLayout


@pytest.mark.parametrize("native", [torch.channels_last, torch.contiguous_format])
def test_layout(monkeypatch, caplog, native):
    monkeypatch.setattr(convolution_layout, "native_memory_format", lambda device: native)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer = SimpleNamespace(strategy=strategy, precision="32-true")
    module = torch.nn.Conv2d(2, 3, 3)
    ConvolutionLayout().setup(trainer, module, "fit")
    assert module.weight.is_contiguous(memory_format=native)
    assert f"memory format {str(native)[6:]}" in caplog.text


def test_auto_leaves_what_a_network_chose_for_itself(monkeypatch):
    contiguous = torch.contiguous_format
    monkeypatch.setattr(convolution_layout, "native_memory_format", lambda device: contiguous)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    module = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    ConvolutionLayout().setup(SimpleNamespace(strategy=strategy, precision="x"), module, "fit")
    assert module.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_checkpoint_keeps_the_precision_of_the_training():
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    callback = ConvolutionLayout()
    trainer = SimpleNamespace(strategy=strategy, precision="bf16-mixed")
    callback.setup(trainer, torch.nn.Conv2d(2, 3, 3), "fit")
    # By this name and key `inference.checkpoint` reads it.
    assert callback.state_key == "ConvolutionLayout"
    assert callback.state_dict() == {"precision": "bf16-mixed"}
