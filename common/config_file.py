"""Reading YAML configs: each is checked before a parser sees it."""

from typing import Any

import yaml

from common.errors import UsageError
from common.limits import CONFIG_VALUES
from common.paths import expand

ADVICE = "give a YAML file such as configs/aoi.yaml, or a name in configs/"


def read_section(path: str, name: str) -> dict[str, Any]:
    """A section of a config, such as ``run``; empty where the config does not have it.

    Raises:
        UsageError: see `read_config`; the section is not a group of options.
    """
    section = read_config(path)[0].get(name) or {}
    if not isinstance(section, dict):
        raise UsageError(f"{path}: {name}: must be a group of options, not {section}")
    return section


def read_config(path: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Values of a config, and the line of each option, from 1.

    Raises:
        UsageError: the file cannot be read, is not YAML, has no options, has one twice, or has
            more values than `CONFIG_VALUES`, aliases written out.
    """
    lines: dict[str, int] = {}
    count = 0

    def add(node: yaml.Node | None, option: str) -> None:
        nonlocal count
        count += 1
        if count > CONFIG_VALUES:
            raise UsageError(f"{path}: more than {CONFIG_VALUES} values; {ADVICE}")
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                add(item, option)
        seen = set()
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            line, name = key.start_mark.line + 1, str(key.value)
            if name in seen:
                raise UsageError(f"{path}, line {line}: {name} is there twice; keep one")
            seen |= {name} - {"<<"}
            inner = f"{option}.{name}".removesuffix(".init_args").removeprefix(".")
            lines.setdefault(inner, line)
            add(value, inner)

    file = expand(path)
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise UsageError(f"{path}: not a regular file; {ADVICE}")  # a pipe would be waited for
    try:
        root = yaml.compose(file.read_text("utf-8"), Loader=yaml.SafeLoader)
        add(root, "")
        if lines:
            return yaml.constructor.SafeConstructor().construct_document(root), lines
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); {ADVICE}") from None
    except RecursionError:
        raise UsageError(f"{path}: nested too deeply; {ADVICE}") from None
    except (ValueError, yaml.YAMLError) as error:  # also of a text that is not UTF-8
        mark = getattr(error, "problem_mark", None)
        line, problem = f", line {mark.line + 1}" if mark else "", getattr(error, "problem", error)
        raise UsageError(f"{path}{line}: not valid YAML ({problem})".replace("\n", " ")) from None
    raise UsageError(f"{path}: has no options; {ADVICE}")
