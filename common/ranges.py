"""Types for ranges of arguments, checked by the parser and shown by ``--help``.

`jsonargparse.typing` has more: ``PositiveInt``, ``NonNegativeInt``, ``OpenUnitInterval`` ... All of
them refuse NaN.
"""

from typing import TYPE_CHECKING, Any

from jsonargparse.typing import restricted_number_type

if TYPE_CHECKING:
    Seed = int
    BatchSize = int
    TileSide = int
    Pixels = float
    ImageSide = int
    HalfOpenUnitInterval = float
    PositiveFinite = float
    NonNegativeFinite = float
else:

    def _range(name: str, shown: str, base: type, *limits: tuple[str, float]) -> Any:
        made = restricted_number_type(shown, base, list(limits))
        # Needed to unpickle it in a spawned worker.
        made.__module__, made.__qualname__ = __name__, name
        return made

    Seed = _range("Seed", "int from 0 to 4294967295", int, (">=", 0), ("<=", 2**32 - 1))
    BatchSize = _range("BatchSize", "int from 1 to 65536", int, (">=", 1), ("<=", 65536))
    ImageSide = _range("ImageSide", "int from 1 to 16384", int, (">=", 1), ("<=", 16384))
    TileSide = _range("TileSide", "int from 64", int, (">=", 64))
    Pixels = _range("Pixels", "float above 0 to 16384", float, (">", 0), ("<=", 16384))
    HalfOpenUnitInterval = _range(
        "HalfOpenUnitInterval", "float from 0 to below 1", float, (">=", 0), ("<", 1)
    )
    PositiveFinite = _range("PositiveFinite", "float above 0", float, (">", 0), ("<", float("inf")))
    NonNegativeFinite = _range(
        "NonNegativeFinite", "float from 0", float, (">=", 0), ("<", float("inf"))
    )
