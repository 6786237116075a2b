"""Which classes a config or a checkpoint may name.

Whatever a class path names is called with arguments from the same file. So it has to be a class,
never a function, that is a subclass of what its option takes; in a checkpoint, which may come from
a stranger, also one that is defined in a trusted package.
"""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

from common.errors import DataError

TRUSTED = ("lit_models", "datamodules", "callbacks", "torch.nn", "torch.optim", "torchvision")


def find_class(
    class_path: str, bases: Collection[type] = (), packages: Sequence[str] | None = None
) -> type:
    """The class that ``class_path`` names.

    Args:
        class_path: such as ``lit_models.networks.UNet``.
        bases: classes of which it has to be a subclass of one; empty: any class.
        packages: packages in which it has to be defined; None: any.

    Raises:
        DataError: not a class, not a subclass, not in these packages, or it does not exist. The
            message begins with the class path.
    """
    module_name, _, name = str(class_path).rpartition(".")
    if packages is not None and not inside(module_name, packages):
        raise DataError(
            f"{class_path}: not a class of this project or torch; if you trust its code, name "
            f"its package: load(..., trusted=['{module_name or class_path}']), or in a --config"
        )
    try:
        found = getattr(import_module(module_name), name)
    except (ImportError, AttributeError, ValueError):
        raise DataError(f"{class_path}: does not exist here") from None
    if not inspect.isclass(found) or not (packages is None or inside(found.__module__, packages)):
        raise DataError(f"{class_path}: not a class that may be named here")
    if bases and not issubclass(found, tuple(bases)):
        raise DataError(f"{class_path}: not a {_any(bases)}")
    return found


def check_classes(
    values: Mapping[str, Any],
    kind: Callable[..., Any] | None,
    option: str,
    packages: Sequence[str] | None = None,
) -> None:
    """Check every class path in the arguments of ``kind``, however deep.

    Args:
        values: arguments by name; classes as ``class_path`` and ``init_args``.
        kind: class that takes them; None: unknown.
        option: prefix of the names in messages, such as ``model``.
        packages: see `find_class`.

    Raises:
        DataError: see `find_class`; names the option.
    """
    try:
        hints = get_type_hints(kind.__init__ if inspect.isclass(kind) else kind)
    except (NameError, TypeError, AttributeError):  # None, or annotations of other libraries
        hints = {}
    for name, value in values.items():
        _check(value, hints.get(name), f"{option}.{name}", packages)


def base_classes(hint: Any) -> list[type]:
    """The classes that an option of this type takes a class path of; empty for plain values."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Callable or getattr(origin, "__name__", "") == "Callable":
        return base_classes(args[-1]) if args else []
    if origin is not None:
        return [base for arg in args for base in base_classes(arg)] if origin is not Literal else []
    if not inspect.isclass(hint) or hint.__module__ == "builtins" or hasattr(hint, "_restrictions"):
        return []
    return [] if issubclass(hint, list | tuple | dict | str) else [hint]


def _check(value: Any, hint: Any, option: str, packages: Sequence[str] | None) -> None:
    bases = base_classes(hint)
    if isinstance(value, Mapping) and "class_path" in value:
        try:
            found = find_class(str(value["class_path"]), bases, packages)
        except DataError as error:
            raise DataError(f"{option}: {error}") from None
        check_classes(value.get("init_args") or {}, found, option, packages)
    elif isinstance(value, Mapping):
        check_classes(value, bases[0] if len(bases) == 1 else None, option, packages)
    elif dataclasses.is_dataclass(hint):
        raise DataError(f"{option}: must be a group of options, not {value}")
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, hint, option, packages)
    elif bases and (inspect.isroutine(value) or (isinstance(value, str) and not _takes_text(hint))):
        name = getattr(value, "__qualname__", value)
        raise DataError(f"{option}: {name} is not a class; give the class path of a {_any(bases)}")


def _takes_text(hint: Any) -> bool:
    inner = get_args(hint)
    return hint is str or get_origin(hint) is Literal or any(map(_takes_text, inner))


def _any(bases: Collection[type]) -> str:
    return " or ".join(dict.fromkeys(base.__name__ for base in bases))


def inside(name: str, packages: Sequence[str]) -> bool:
    """Whether a module or class path is one of these packages, or below one."""
    return any(f"{name}.".startswith(f"{package}.") for package in packages)
