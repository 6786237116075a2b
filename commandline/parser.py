"""One line for a bad option or config, in place of jsonargparse's reports.

jsonargparse parses ``model``, ``data`` and each class inside of them with a parser of its own, and
its errors name the option as that parser knows it. `OneLineParser` keeps the innermost error and
puts the names of the outer options before it.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import Namespace, set_parsing_settings
from pytorch_lightning.cli import LightningArgumentParser
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from commandline.suggestions import CLASS, class_problem, in_words, nearest_option, quoted, shown
from commandline.yaml_lines import lines_of
from common.errors import DataError, UsageError

# What a config or a checkpoint names must not run programs: jsonargparse's list, as a refusal.
set_parsing_settings(import_path_denylist=[])

VALUE = re.compile(
    r"class_path[= ]'([^']+)'|(?:Given|Got) value: (?!Name)(.*)\Z|: (\S+) does not conform"
    r"|base 10: '(.*)'|path string: (\S+)|Import path (\S+) does",
    re.DOTALL,
)
UNKNOWN = re.compile(
    r"Option '(.+?)'|Group '(?P<group>.+?)' does not accept option '(.+)'"
    r"|unrecognized arguments: --([^\s=]+)"
)


class OneLineParser(LightningArgumentParser):
    """Parser whose errors are `UsageError`, and that takes no abbreviated option."""

    _reading: Any = None  # the config

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_args(self, args: Any = None, *rest: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """As jsonargparse's, which hands null on to the parser of a class as the text "None"."""
        if args is not None:
            args = [re.sub(r"^(--[\w.]+)=None$", r"\1=null", arg) for arg in args]
        return super().parse_args(args, *rest, **kwargs)

    def parse_path(self, path: Any, *rest: Any, **kwargs: Any) -> Namespace:
        """As jsonargparse's, for errors that name the file."""
        self._reading = path
        try:
            lines_of(Path(path))
            return super().parse_path(path, *rest, **kwargs)
        except (OSError, UnicodeDecodeError) as error:
            cause = getattr(error, "strerror", None) or "not a text file in UTF-8"
            raise UsageError(f"{path}: cannot be read ({cause}); give a YAML file") from None
        finally:
            self._reading = None

    def instantiate(self, *args: Any, **kwargs: Any) -> Namespace:
        """As jsonargparse's, but raises what a constructor raised, not a report of it.

        Raises:
            UsageError: a ValueError of a constructor, which says that an argument is wrong; a
                TypeError where a class does not take what every class in its place is given.
        """
        try:
            return super().instantiate(*args, **kwargs)
        except (TypeError, ValueError) as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            line = str(cause).strip().partition("\n")[0]
            called = re.match(r"(\w+)\.__init__\(\) (takes|got|missing) ", line)
            if called is not None:
                line = f"{called[1]}: cannot be made by a config ({line}); name another class"
            if called is not None or isinstance(cause, ValueError):
                raise UsageError(line) from None
            raise cause from None

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise UsageError; in the parser of a class, what jsonargparse expects of it."""
        option, reason, near = self._problem(message, ex)
        if not self.exit_on_error:
            raise argparse.ArgumentError(None, f"\x02{option}\x03{reason}\x03{near}\x02") from ex
        args = [str(arg) for arg in getattr(self, "args", None) or []]
        place = _place(option, args)
        if reason == "unknown" and not near and not place:
            near = nearest_option(option, self._known(args))
        advice = f"; did you mean {near}?" if near else ""
        raise UsageError(f"{place}{option}: {reason}{advice}".removeprefix(": ")) from None

    def _problem(self, message: str, ex: Exception | None) -> tuple[str, str, str]:
        """Option, what is wrong with it, and which one may have been meant."""
        key = re.match(r'Parser key "([^"]+)"(?: element \d+)?:\s*', message)
        inner = re.search("\x02(.*?)\x03(.*?)\x03(.*?)\x02", message)
        if inner:
            outer = f"{key[1]}." if key else ""
            return outer + inner[1], inner[2], inner[3] and outer + inner[3]
        if key:
            return self._bad_value(key[1], message[key.end() :])
        unknown = UNKNOWN.match(message)
        if unknown:
            name = unknown[unknown.lastindex or 1].removesuffix("+")
            name = f"{unknown['group']}.{name}" if unknown["group"] else name
            return name, "unknown", nearest_option(name, self._options())
        required = re.match(r"the following arguments are required: (.+)", message)
        if required:
            return required[1], "missing; give it, or a --config FILE that has it", ""
        argument = re.match(r"argument (?:-c/)?--([^:]+): (.+)", message)
        if argument:
            return argument[1], argument[2].replace("expected one argument", "needs a value"), ""
        word = re.match(r"unrecognized arguments: (\S*)", message)
        if word:
            return "", f"{word[1]!r} is not an option; options begin with --", ""
        cause: Any = ex
        while cause is not None and not hasattr(cause, "problem_mark"):
            cause = cause.__cause__
        if cause is not None:
            line = f", line {cause.problem_mark.line + 1}"
            return f"{self._reading or 'options'}{line}", f"not valid YAML ({cause.problem})", ""
        if message.startswith("Unexpected config"):
            return str(self._reading), "holds no options; give a YAML file as configs/aoi.yaml", ""
        return "", shown(message), ""

    def _bad_value(self, option: str, report: str) -> tuple[str, str, str]:
        if option == "config":
            file = report.rpartition(": ")[2].strip("'")
            cause = "no such file" if "not exist" in report else "cannot be read"
            return file, f"{cause}; --config takes a YAML file or a name in configs/", ""
        kind = getattr(self._options().get(option), "_typehint", None)
        if kind is None:
            group = "Unable to load config" in report
            return option, "must be a group of options" if group else shown(report), ""
        found = VALUE.search(report)
        value, words = found[found.lastindex or 1] if found else "", in_words(kind)
        if words.startswith(CLASS) and re.fullmatch(r"(\w+\.)*[^\W\d]\w*", value):
            return option, class_problem(value, words, report), ""
        return option, f"must be {words}" + (f", not {quoted(value)}" if found else ""), ""

    def _options(self) -> dict[str, Any]:
        return {a.dest: a for a in self._actions if not a.dest.endswith("help")}

    def _known(self, args: Sequence[str]) -> list[str]:
        """All options, also of the classes that the configs name."""
        given = [[a] for a in args if a.startswith("--config=")]
        given += [[*pair] for pair in pairwise(args) if pair[0] == "--config"]
        try:
            config = self.parse_args([arg for pair in given for arg in pair])
        except UsageError:
            return [*self._options()]
        return [name.replace(".init_args", "") for name in [*config.keys(), *self._options()]]


def _place(option: str, args: Sequence[str]) -> str:
    """ "FILE, line N: " where a config was the last to set ``option``, not the command line."""
    for arg, following in reversed([*zip(args, [*args, ""][1:], strict=True)]):
        name, _, value = arg.partition("=")
        if name in ("--config", "-c"):
            line = lines_of(Path(value or following)).get(option)
            if line is not None:
                return f"{value or following}, line {line}: "
        elif f"{option}.".startswith(f"{name.lstrip('-').rstrip('+')}."):
            return ""
    return ""


@contextmanager
def one_line_of(*kinds: type[Exception], option: str = "") -> Iterator[None]:
    """Turn errors of these kinds, which libraries raise for bad options, into `UsageError`."""
    caught: tuple[type[Exception], ...] = (MisconfigurationException, *kinds)
    try:
        yield
    except DataError:
        raise
    except caught as error:
        line = str(error).strip().partition("\n")[0]
        raise UsageError(f"{option}: {line}" if option else line) from None
