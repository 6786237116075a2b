"""Where a config says what."""

from contextlib import suppress
from pathlib import Path

import yaml

from common.errors import UsageError


def lines_of(path: Path) -> dict[str, int]:
    """Line of each option, from 1; nothing where the file is not YAML.

    Raises:
        UsageError: an option is there twice.
    """
    found: dict[str, int] = {}

    def add(node: yaml.Node | None, above: str) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                add(item, above)
        elif isinstance(node, yaml.MappingNode):
            names = set()
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in names and key.value != "<<":
                    raise UsageError(f"{path}, line {line}: {key.value} is there twice; keep one")
                names.add(str(key.value))
                option = above if key.value == "init_args" else f"{above}.{key.value}"
                found.setdefault(option.removeprefix("."), line)
                add(value, option.removeprefix("."))

    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        add(yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader), "")
    return found
