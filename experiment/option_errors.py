"""What is wrong with a command line or a config, in one line, in place of jsonargparse's reports.

jsonargparse parses ``model``, ``data`` and each class inside of them with a parser of its own. Its
errors name the option as that parser knows it, and pass through the types around it, each of which
adds lines. `OneLineParser` keeps the innermost error and puts the names of the outer options before
it.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import yaml
from jsonargparse import Namespace, set_parsing_settings
from pytorch_lightning.cli import LightningArgumentParser

from experiment.arguments import UsageError
from experiment.class_paths import base_classes
from experiment.type_words import in_words, quoted, shown
from experiment.yaml_checks import check_yaml

# What a config or a checkpoint names must not run programs: jsonargparse's list, as a refusal.
set_parsing_settings(import_path_denylist=[])

SUBCOMMANDS = ("fit", "validate", "test", "predict", "compare", "export", "demo", "crossval")


@dataclass(frozen=True)
class _Problem:
    option: str  # without leading dashes; "" where there is none
    reason: str
    nearest: str | None = None  # the option that may have been meant

    def below(self, parent: str) -> "_Problem":
        nearest = f"{parent}.{self.nearest}" if self.nearest else None
        return replace(self, option=f"{parent}.{self.option}", nearest=nearest)

    def __str__(self) -> str:
        advice = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.option}: {self.reason}{advice}".removeprefix(": ")


class OneLineParser(LightningArgumentParser):
    """Parser whose errors are `UsageError`, and that takes no abbreviated option.

    Raises:
        UsageError: from ``parse_args`` and the like.
    """

    # Of inner parsers; outer ones get its number in the text that reaches them.
    _inner: ClassVar[list[_Problem]] = []
    _reading = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_args(self, args: Any = None, *rest: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """As jsonargparse's, which hands null on to the parser of a class as the text "None"."""
        if args is not None:
            args = [re.sub(r"^(--[\w.]+)=None$", r"\1=null", arg) for arg in args]
        return super().parse_args(args, *rest, **kwargs)

    def parse_path(self, path: Any, *rest: Any, **kwargs: Any) -> Namespace:
        """As jsonargparse's, for errors that name the file."""
        self._reading = str(path)
        check_yaml(Path(path))
        try:
            return super().parse_path(path, *rest, **kwargs)
        except (OSError, UnicodeDecodeError) as error:
            cause = getattr(error, "strerror", None) or "not a text file in UTF-8"
            raise UsageError(f"{path}: cannot be read ({cause}); give a YAML file") from None
        finally:
            self._reading = ""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise UsageError; in the parser of a class, what jsonargparse expects of it."""
        problem = self._problem(message, ex)
        if not self.exit_on_error:
            self._inner.append(problem)
            raise argparse.ArgumentError(None, f"<<{len(self._inner) - 1}>>") from ex
        self._inner.clear()
        args = [str(arg) for arg in getattr(self, "args", None) or []]
        raise UsageError(f"{_place(problem.option, args)}{problem}") from None

    def _problem(self, message: str, ex: Exception | None) -> _Problem:
        key = re.match(r'Parser key "([^"]+)"(?: element \d+)?:\s*', message)
        inner = re.search(r"<<(\d+)>>", message)
        if inner:
            problem = self._inner[int(inner[1])]
            return problem.below(_without_subcommand(key[1])) if key else problem
        if key:
            return self._bad_value(_without_subcommand(key[1]), message[key.end() :])
        unknown = (
            re.match(r"Option '(.+?)' is not accepted", message)
            or re.match(
                r"(?:Group|Subcommand) '(?P<group>.+?)' does not accept option '(.+)'", message
            )
            or re.match(r"unrecognized arguments: --([^\s=]+)", message)
        )
        if unknown and self._subcommands_action and message.startswith("unrecognized"):
            return _Problem(unknown[1], "comes before the subcommand; give it after")
        if unknown:
            group = unknown.groupdict().get("group")
            name = unknown[unknown.lastindex or 1].removesuffix("+")
            return self._unknown(_without_subcommand(f"{group}.{name}" if group else name))
        required = re.match(r"the following arguments are required: (.+)", message)
        if required:
            names = ", ".join(map(_without_subcommand, required[1].split(", ")))
            return _Problem(names, "missing; give it, or a --config FILE that has it")
        return self._bad_syntax(message, ex)

    def _bad_syntax(self, message: str, ex: Exception | None) -> _Problem:
        """What is wrong before any option is looked at."""
        subcommand = re.search(r"invalid choice: '(.*?)' \(choose from", message)
        if subcommand:
            near = get_close_matches(subcommand[1], SUBCOMMANDS, 1, 0.5)
            meant = f"did you mean {near[0]}?" if near else f"give {', '.join(SUBCOMMANDS)}"
            return _Problem("", f"{subcommand[1]!r} is no subcommand; {meant}")
        if 'expected "subcommand"' in message:
            return _Problem("", f"no subcommand; give {', '.join(SUBCOMMANDS)}")
        word = re.match(r"unrecognized arguments: (\S*)", message)
        if word:
            return _Problem("", f"{word[1]!r} belongs to no option; options begin with --")
        cause: Any = ex
        while cause is not None and not hasattr(cause, "problem_mark"):
            cause = cause.__cause__
        if cause is not None:
            where = f"{self._reading or 'the command line'}, line {cause.problem_mark.line + 1}"
            return _Problem(where, f"not valid YAML ({cause.problem})")
        if message.startswith("Unexpected config"):
            return _Problem(
                self._reading, "holds no options; give a YAML file such as configs/aoi.yaml"
            )
        argument = re.match(r"argument ([^:]+): (.+)", message)
        if argument:
            name = argument[1].rpartition("/")[2].lstrip("-")
            return _Problem(name, argument[2].replace("expected one argument", "needs a value"))
        return _Problem("", shown(message, 200))

    def _options(self) -> dict[str, Any]:
        """The options of this parser and of its subcommands by name."""
        subcommands = self._subcommands_action
        parsers = [self, *(subcommands.choices.values() if subcommands else ())]
        actions = [action for parser in parsers for action in parser._actions]
        return {action.dest: action for action in actions if not action.dest.endswith("help")}

    def _bad_value(self, option: str, report: str) -> _Problem:
        kind = getattr(self._options().get(option), "_typehint", None)
        if option == "config":
            file = report.rpartition(": ")[2].strip("'")
            cause = "no such file" if "not exist" in report else "cannot be read"
            return _Problem(file, f"{cause}; --config takes a YAML file such as configs/aoi.yaml")
        if kind is None:
            return _Problem(option, shown(report, 200))
        path = re.search(
            r"(?:class_path |Expected |Importing )'([^']+)'|dot import path string: (\S+)"
            r"|path format: (\S+)|Import path (\S+) does",
            report,
        )
        bases, words = base_classes(kind), in_words(kind)
        if path and bases and "class path" in words:
            denied = "is not allowed" in report
            return _Problem(
                option, _class_problem(next(filter(None, path.groups())), bases, denied)
            )
        value = (
            re.search(r"(?:Given|Got) value: (.*)\Z", report, re.DOTALL)
            or re.search(r"Not of type [^:]+: (.+) does not conform", report)
            or re.search(r"base 10: '(.*)'|to float: '(.*)'", report)
        )
        given = f", not {quoted(value[value.lastindex or 1])}" if value else ""
        return _Problem(option, f"must be {words}{given}")

    def _unknown(self, name: str) -> _Problem:
        return _Problem(name, "unknown", _nearest(name, list(self._options())))


def _without_subcommand(key: str) -> str:
    first, _, rest = key.partition(".")
    return rest if rest and first in SUBCOMMANDS else key


def _nearest(name: str, options: Sequence[str]) -> str | None:
    """The option that was meant: of a similar name, of a similar group, or in another group."""
    first, _, rest = name.partition(".")
    groups = {option.partition(".")[0] for option in options}
    if rest and first not in groups:
        similar = get_close_matches(first, groups, 1)
        if similar:
            return f"{similar[0]}.{rest}"
    similar = get_close_matches(name, options, 1)
    elsewhere = [
        option for option in options if option.rpartition(".")[2] == name.rpartition(".")[2]
    ]
    return next(iter([*similar, *elsewhere]), None)


def _class_problem(path: str, bases: Sequence[type], denied: bool) -> str:
    """Why ``path`` does not name a class below one of ``bases``."""
    wanted = " or ".join(dict.fromkeys(base.__name__ for base in bases))
    module_name, _, name = path.rpartition(".")
    if denied:
        return f"{path} is not allowed, for what it could do; give the class path of a {wanted}"
    if not module_name:
        return f"must be the class path of a {wanted}, as package.Class, not {quoted(path)}"
    try:
        module = import_module(module_name)
    except ImportError as error:
        return f"{path}: {error}; give the class path of a {wanted}"
    if not hasattr(module, name):
        near = get_close_matches(name, dir(module), 1, 0.7)
        advice = f"did you mean {module_name}.{near[0]}?" if near else f"give that of a {wanted}"
        return f"{module_name} has no {name}; {advice}"
    if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), tuple(bases)):
        return f"{path}: its init_args must be a group of options"
    return f"{path} is no {wanted}"


def _place(option: str, args: Sequence[str]) -> str:
    """ "FILE, line N: " of the config that sets ``option``; "" if the command line does."""
    if not option or any(arg.partition("=")[0].rstrip("+") == f"--{option}" for arg in args):
        return ""
    for path in reversed(list(_config_files(args))):
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        line = _line_of(option.split("."), root)
        if line is not None:
            return f"{path}, line {line + 1}: "
    return ""


def _config_files(args: Sequence[str]) -> Iterator[Path]:
    for arg, following in zip(args, [*args[1:], ""], strict=False):
        if arg in ("--config", "-c"):
            yield Path(following)
        elif arg.startswith("--config="):
            yield Path(arg.partition("=")[2])


def _line_of(names: Sequence[str], node: yaml.Node | None) -> int | None:
    """Line, from 0, of a key in a config, whose ``init_args`` options do not name."""
    if isinstance(node, yaml.SequenceNode):
        lines = (_line_of(names, item) for item in node.value)
        return next((line for line in lines if line is not None), None)
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.value == "init_args":
            line = _line_of(names, value)
        elif key.value != names[0]:
            continue
        else:
            line = _line_of(names[1:], value) if names[1:] else key.start_mark.line
        if line is not None:
            return line
    return None
