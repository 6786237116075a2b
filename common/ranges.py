"""Types for ranges of arguments, checked by the parser and shown by ``--help``.

`jsonargparse.typing` has more: ``PositiveInt``, ``NonNegativeInt``, ``OpenUnitInterval`` ... All of
them refuse NaN.
"""

from collections import ChainMap
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

from jsonargparse.typing import restricted_number_type

from common.errors import DataError

if TYPE_CHECKING:
    Seed = int
    BatchSize = int
    ImageSide = int
    FoldCount = int
    Degrees = float
    TileSide = int
    Pixels = float
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
    FoldCount = _range("FoldCount", "int from 2", int, (">=", 2))
    Degrees = _range("Degrees", "float from 0 to 180", float, (">=", 0), ("<=", 180))
    TileSide = _range("TileSide", "int from 64", int, (">=", 64))
    Pixels = _range("Pixels", "float above 0 to 16384", float, (">", 0), ("<=", 16384))
    HalfOpenUnitInterval = _range(
        "HalfOpenUnitInterval", "float from 0 to below 1", float, (">=", 0), ("<", 1)
    )
    PositiveFinite = _range("PositiveFinite", "float above 0", float, (">", 0), ("<", float("inf")))
    NonNegativeFinite = _range(
        "NonNegativeFinite", "float from 0", float, (">=", 0), ("<", float("inf"))
    )


def refuse_null(kind: type, values: Mapping[str, Any], option: str) -> None:
    """Refuse null for settings that are not optional, which jsonargparse accepts.

    Args:
        kind: class with the settings as constructor arguments.
        values: settings by name.
        option: prefix of the names in the message.

    Raises:
        DataError: names the setting.
    """
    # A constructor may pass keywords on to its base classes.
    own = (getattr(base.__init__, "__annotations__", {}) for base in kind.__mro__)  # type: ignore[misc]
    for name, hint in ChainMap(*own).items():
        if name in values and values[name] is None and NoneType not in get_args(hint):
            raise DataError(f"{option}.{name}: null; give a value, or leave the option out")
