"""Filters for log lines and warnings of Lightning that do not apply here."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl

WARNED = (
    r"Found \d+ module\(s\) in eval mode",  # a frozen backbone is, on purpose
    r".*LeafSpec",  # deprecated in torch, used by Lightning
    "Precision bf16-mixed is not supported by the model summary",
    ".*does not have many workers",  # the configs have measured values
    ".*is smaller than the logging interval",  # epochs are logged anyway
    "LightningCLI.s args parameter is intended",  # it is used as intended
    "Total length of `list` across ranks is zero",  # trained on all images, on purpose
    "Checkpoint directory .* exists and is not empty",
    "The dirpath has changed from",  # `BestCheckpoint` handles it
    "It is recommended to use `self.log",  # values are already reduced over processes
    "The ``compute`` method of metric",  # in a process or a region without images
)


def filter_warnings() -> None:
    """Install the filters in this process."""
    for message in WARNED:
        warnings.filterwarnings("ignore", message)
    for name in ("utilities.rank_zero", "trainer.connectors.signal_connector"):
        logging.getLogger(f"pytorch_lightning.{name}").addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Not Lightning's own infos but for the GPU: the run logs precision, signals ... itself."""
    own = Path(pl.__file__).parent in Path(record.pathname).parents
    return record.levelno > logging.INFO or not own or "GPU available: True" in str(record.msg)
