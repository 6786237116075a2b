"""This machine: its fast and safe settings, and what a run's record says of it."""

import ctypes
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch


def native_precision(accelerator: str) -> str:
    """Lightning precision for ``trainer.precision: null``: "bf16-mixed" where bf16 is native.

    Elsewhere "32-true": emulated bf16 is many times slower on a CPU, and on Apple's MPS, whose
    processors have no AVX-512, autocast is not reliable.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu.get_capabilities().get("avx512_bf16", False)
    return "bf16-mixed" if native else "32-true"


def native_memory_format(device: torch.device) -> torch.memory_format:
    """The faster layout of convolutions on ``device``.

    On CPUs without AVX-512 channels-last makes wide layers slower (31 M U-Net: 25 s per step, not
    15 s), and MPS has no kernels for it.
    """
    if device.type == "cuda":
        return torch.channels_last
    avx512 = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
    return torch.channels_last if avx512 else torch.contiguous_format


def tune_process() -> None:
    """Settings of this process that make training faster and change no numbers.

    glibc's malloc reuses large blocks instead of returning each to the kernel when freed: otherwise
    every activation above 32 MiB is mapped, zeroed page by page and unmapped again in each step
    (31 M U-Net in bf16: 400,000 page faults, 4.9 s against 3.6 s). The process then keeps its peak,
    as PyTorch does on a GPU. Source: mallopt(3).

    Without CUDA, torch asks CUDA itself for devices, not NVML, for which it would search a library
    in each step of its optimizers (0.35 ms).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        m_trim_threshold, m_mmap_max = -1, -4
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, -1)
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def git_revision() -> str:
    """This project's commit, "+changes" where the work tree differs; "unknown" outside git."""
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+changes"]
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def machine() -> str:
    """Processor, cores and accelerator as text."""
    cpu = torch.cpu.get_capabilities().get("cpu_name") or platform.machine()
    text = f"{cpu}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    if torch.cuda.is_available():
        text += f"; {torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return text


def versions() -> dict[str, str]:
    """Versions of the packages that affect results."""
    python, lightning = platform.python_version(), version("pytorch_lightning")
    return {"python": python, "torch": str(torch.__version__), "pytorch_lightning": lightning}
