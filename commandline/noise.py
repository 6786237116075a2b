"""What Lightning says to everybody and nobody needs here: advertisement, advice that is off."""

import logging
import re
import warnings

# The run's own lines say the last three better.
LOGGED = re.compile(
    "💡|TPU available|Using .* Precision|Detected KeyboardInterrupt|Loading `train_data"
    r"|(\[rank: \d+\] )?Received SIGTERM"
)
WARNED = (
    r"Found \d+ module\(s\) in eval mode",  # a frozen backbone is, on purpose
    r".*LeafSpec",  # between Lightning and torch
    "Precision bf16-mixed is not supported by the model summary",
    ".*does not have many workers",  # the configs' were measured
    ".*is smaller than the logging interval",  # epochs are logged anyway
    "LightningCLI.s args parameter is intended",  # the verb is not among them
    "Total length of `list` across ranks is zero",  # trained on all images, on purpose
    "Checkpoint directory .* exists and is not empty",
    "The dirpath has changed from",  # the best checkpoint is looked for beside the last
    "It is recommended to use `self.log",  # what is logged is over all processes already
    "The ``compute`` method of metric",  # of a process, or a region, that had no image
)


def filter_warnings() -> None:
    """Pass over those lines from now on."""
    for message in WARNED:
        warnings.filterwarnings("ignore", message)
    for name in ("utilities.rank_zero", "trainer.connectors.signal_connector"):
        lightning_log = logging.getLogger(f"pytorch_lightning.{name}")
        lightning_log.addFilter(lambda record: not LOGGED.match(record.getMessage().strip()))
