"""What the reference methods reached: shown beside our figures, never as one of them."""

from typing import NamedTuple


class Reference(NamedTuple):
    """One figure: its value and what it was measured on."""

    value: float
    on: str


# TASK -> METRIC -> REFERENCE
