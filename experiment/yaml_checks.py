"""Refuses YAML that is valid but never meant: duplicate keys, values that hold themselves."""

from pathlib import Path

import yaml

from experiment.arguments import UsageError


def check_yaml(path: Path) -> None:
    """Refuse such a file; what is no YAML at all is left to the parser.

    Raises:
        UsageError: names file, line and key.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    _check(path, root, ())


def _check(path: Path, node: yaml.Node | None, above: tuple[yaml.Node, ...]) -> None:
    if node is None or isinstance(node, yaml.ScalarNode):
        return
    if node in above:
        line = node.start_mark.line + 1
        raise UsageError(f"{path}, line {line}: holds itself by an alias; write the value out")
    seen: set[str] = set()
    for item in node.value:
        if not isinstance(node, yaml.MappingNode):
            _check(path, item, (*above, node))
            continue
        key, value = item
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            if key.value in seen:
                line = key.start_mark.line + 1
                raise UsageError(f"{path}, line {line}: {key.value} is there twice; keep one")
            seen.add(key.value)
        _check(path, value, (*above, node))
