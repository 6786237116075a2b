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
        UsageError: see `lines_of`; the section is not a group of options.
    """
    lines_of(path)
    try:
        section = yaml.safe_load(expand(path).read_text("utf-8")).get(name) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not a config ({error})".replace("\n", " ")) from None
    if not isinstance(section, dict):
        raise UsageError(f"{path}: {name}: must be a group of options, not {section}")
    return section


def lines_of(path: str) -> dict[str, int]:
    """Line number of each option in a config, from 1.

    Raises:
        UsageError: the file cannot be read, is not YAML, has no options, has one twice, or has
            more values than `CONFIG_VALUES`, aliases written out.
    """
    found: dict[str, int] = {}
    values = 0

    def add(node: yaml.Node | None, option: str) -> None:
        nonlocal values
        values += 1
        if values > CONFIG_VALUES:
            raise UsageError(f"{path}: more than {CONFIG_VALUES} values; {ADVICE}")
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                add(item, option)
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        seen = set()
        for key, value in pairs:
            line, name = key.start_mark.line + 1, str(key.value)
            if name in seen:
                raise UsageError(f"{path}, line {line}: {name} is there twice; keep one")
            seen |= {name} - {"<<"}
            inner = f"{option}.{name}".removesuffix(".init_args").removeprefix(".")
            found.setdefault(inner, line)
            add(value, inner)

    file = expand(path)
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise UsageError(f"{path}: not a regular file; {ADVICE}")  # a pipe would be waited for
    try:
        add(yaml.compose(file.read_text("utf-8"), Loader=yaml.SafeLoader), "")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); {ADVICE}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text file in UTF-8; {ADVICE}") from None
    except RecursionError:
        raise UsageError(f"{path}: nested too deeply; {ADVICE}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, problem = f", line {mark.line + 1}" if mark else "", getattr(error, "problem", error)
        raise UsageError(f"{path}{line}: not valid YAML ({problem})".replace("\n", " ")) from None
    if not found:
        raise UsageError(f"{path}: has no options; {ADVICE}")
    return found
