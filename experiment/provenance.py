"""Which code ran, and on which machine."""

import os
import platform
import subprocess
from pathlib import Path

import pytorch_lightning as pl
import torch


def git_revision() -> str:
    """This project's commit, "+changes" where the work tree differs; "unknown" outside git."""
    folder = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+changes"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip()


def machine() -> str:
    """Processor, cores and accelerator as text."""
    cpu = torch.cpu.get_capabilities().get("cpu_name") or platform.machine()
    text = f"{cpu}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    if torch.cuda.is_available():
        text += f"; {torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return text


def versions() -> dict[str, str]:
    """Versions of the packages that affect results."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": pl.__version__,
    }
