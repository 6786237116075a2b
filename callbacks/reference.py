"""What the reference methods were reported to reach: shown beside our results, never among them."""

from typing import NamedTuple


class Reference(NamedTuple):
    """A result of a reference method, and what it was measured on."""

    value: float
    on: str


# Task -> metric of ours that means the same -> result of the reference.
REFERENCE: dict[str, dict[str, Reference]] = {
    "aoi": {
        "val/accuracy": Reference(0.9644, "reference on AOI, epoch 6 of 10"),
        "train/loss": Reference(0.2635, "reference on AOI, epoch 6 of 10"),
    },
}
