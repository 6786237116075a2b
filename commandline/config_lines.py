"""Where a config says what."""

import yaml

from common.errors import UsageError
from common.paths import expand

ADVICE = "give a YAML file such as configs/aoi.yaml, or a name in configs/"


def lines_of(path: str) -> dict[str, int]:
    """Line of each option, from 1.

    Raises:
        UsageError: it cannot be read, is not YAML, holds no options, or one twice.
    """
    found: dict[str, int] = {}

    def add(node: yaml.Node | None, above: str) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                add(item, above)
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        for number, (key, value) in enumerate(pairs):
            line = key.start_mark.line + 1
            if key.value != "<<" and any(key.value == one.value for one, _ in pairs[:number]):
                raise UsageError(f"{path}, line {line}: {key.value} is there twice; keep one")
            option = f"{above}.{key.value}".removesuffix(".init_args").removeprefix(".")
            found.setdefault(option, line)
            add(value, option)

    try:
        add(yaml.compose(expand(path).read_text("utf-8"), Loader=yaml.SafeLoader), "")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); {ADVICE}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text file in UTF-8; {ADVICE}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{path}{line}: not valid YAML ({error.problem})") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML ({error})".replace("\n", " ")) from None
    if not found:
        raise UsageError(f"{path}: holds no options; {ADVICE}")
    return found
