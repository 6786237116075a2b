"""Fast settings are taken only where they are safe."""

import pytest
import torch

from experiment.hardware import native_memory_format, native_precision


@pytest.mark.parametrize(("bf16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_of_a_cpu_is_what_it_computes_natively(monkeypatch, bf16, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": bf16})
    assert native_precision("auto") == native_precision("cpu") == precision


def test_emulated_bf16_is_not_native(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert native_precision("gpu") == "32-true"


@pytest.mark.parametrize(
    ("device", "capability", "layout"),
    [
        ("cuda", "AVX2", torch.channels_last),
        ("cpu", "AVX512", torch.channels_last),
        ("cpu", "AVX2", torch.contiguous_format),
        ("mps", "AVX512", torch.contiguous_format),
    ],
)
def test_memory_format(monkeypatch, device, capability, layout):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert native_memory_format(torch.device(device)) == layout
