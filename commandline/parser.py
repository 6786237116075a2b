"""One line for a bad option or config in place of jsonargparse's reports.

jsonargparse parses ``model``, ``data`` and each class in them with a parser of its own, and its
errors name the option without a prefix. `OneLineParser` keeps the innermost one and adds prefixes.
"""

import argparse
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from enum import Enum
from itertools import pairwise
from typing import Any, NoReturn

import yaml
from jsonargparse import Namespace, get_loader, set_loader, set_parsing_settings, typing
from jsonargparse._typehints import type_to_str
from pytorch_lightning.cli import LightningArgumentParser
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from common.config_file import read_config
from common.errors import DataError, UsageError
from experiment.checkpoints.class_paths import base_classes

# Refuse the classes of jsonargparse's list of dangerous ones, such as subprocess.Popen.
set_parsing_settings(import_path_denylist=[])
_load_yaml = get_loader("yaml")


def _load(text: str) -> Any:
    value = _load_yaml(text)
    return text if value is None and text.strip() != "null" else value


# Only ``null`` is null: ``~`` and ``#new`` are names of folders.
set_loader("yaml", _load, (yaml.YAMLError,))
yaml.SafeDumper.add_multi_representer(  # such as a Timer's interval in config.yaml
    Enum, lambda dumper, value: dumper.represent_data(value.value)
)

# Values and unknown options in jsonargparse's messages.
VALUE = re.compile(
    r"class_path[= ]'([^']+)'|(?:Given|Got) value: (?!Name)(.*?)(?:\n  Subclass|\Z)"
    r"|: (\S+) does not conform|base 10: '(.*)'|path string: (\S+)",
    re.DOTALL,
)
UNKNOWN = re.compile(
    r"Option '(.+?)'|Group '(.+?)' does not accept option '(.+)'"
    r"|unrecognized arguments: --([^\s=]+)"
)
CONFIG = ("--config", "-c")
CLASS = "a subclass of "
# Modules whose classes are suggested.
HOMES = """lit_models lit_models.networks lit_models.losses lit_models.optim datamodules callbacks
    datamodules.transforms torch.nn torch.optim torch.optim.lr_scheduler"""
ALIASES = {"learning_rate": "lr", "epochs": "max_epochs", "gpus": "devices"}
ALIASES |= {"seed": "seed_everything"}


class OneLineParser(LightningArgumentParser):
    """Parser that raises `UsageError` and refuses abbreviated options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        self._given: list[str] = []
        self._lines: dict[str, dict[str, int]] = {}  # of each config, by option

    def parse_args(self, args: Any = None, *rest: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """Check the configs, then parse."""
        # jsonargparse passes null to the parser of a class as the text "None".
        self._given = [re.sub(r"^(--[\w.]+)=None$", r"\1=null", arg) for arg in args or ()]
        self._lines = {path: read_config(path)[1] for path in _configs(self._given)}
        return super().parse_args(self._given, *rest, **kwargs)

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Validate values that are null, too."""
        super().validate(*args, **{**kwargs, "skip_unset": False})

    def instantiate(self, *args: Any, **kwargs: Any) -> Namespace:
        """Instantiate classes; an error of a constructor is raised as it is, without a report.

        Raises:
            UsageError: a constructor refuses the value or the number of its arguments.
        """
        try:
            return super().instantiate(*args, **kwargs)
        except (TypeError, ValueError) as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            line = str(cause).strip().partition("\n")[0]
            if isinstance(cause, ValueError) or re.match(r"\w+\.__init__\(\) ", line):
                raise UsageError(line) from None
            raise cause from None

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise UsageError; in the parser of a class, the error that jsonargparse handles."""
        option, reason, near = self._problem(message)
        if not self.exit_on_error:
            raise argparse.ArgumentError(None, f"\x02{option}\x03{reason}\x03{near}\x02") from ex
        place = self._place(option)
        if reason == "unknown" and not near and not place:
            near = nearest_option(option, self._known())
        advice = f"; did you mean {near}?" if near else ""
        raise UsageError(f"{place}{option}: {reason}{advice}".removeprefix(": ")) from None

    def _problem(self, message: str) -> tuple[str, str, str]:
        """Option, what is wrong with it, and a similar option."""
        key = re.match(r'Parser key "([^"]+)"(?: element \d+)?:\s*', message)
        if inner := re.search("\x02(.*?)\x03(.*?)\x03(.*?)\x02", message):
            outer = f"{key[1]}." if key else ""
            return outer + inner[1], inner[2], inner[3] and outer + inner[3]
        if key:
            return key[1], self._bad_value(key[1], message[key.end() :]), ""
        if unknown := UNKNOWN.match(message):
            name = ".".join(part for part in unknown.groups() if part).removesuffix("+")
            return name, "unknown", nearest_option(name, self._options())
        if argument := re.match(r"argument (?:-c/)?--([^:]+): (.+)", message):
            return argument[1], argument[2].replace("expected one argument", "needs a value"), ""
        if required := re.match(r"the following arguments are required: (.+)", message):
            return required[1], "missing; give it, or a --config FILE that has it", ""
        word = message.removeprefix("unrecognized arguments: ")
        return "", f"{word.partition(' ')[0]!r} is not an option; options begin with --", ""

    def _bad_value(self, option: str, report: str) -> str:
        kind = getattr(self._options().get(option), "_typehint", None)
        if kind is None:
            return "must be a group of options"
        found = VALUE.search(report)
        value, words = found[found.lastindex or 1] if found else "", in_words(kind)
        if words.startswith(CLASS) and re.fullmatch(r"(?!None)(\w+\.)*[^\W\d]\w*", value):
            return class_problem(value, words, report)
        return f"must be {words}" + (f", not {quoted(value)}" if found else "")

    def _place(self, option: str) -> str:
        """ "FILE, line N: " if a config set ``option`` last, "" if the command line did."""
        place = ""
        for number, arg in enumerate(self._given):
            for path in (
                _configs(self._given[number : number + 2]) if arg.startswith(CONFIG) else ()
            ):
                lines = self._lines[path]
                place = f"{path}, line {lines[option]}: " if option in lines else place
            if f"{option}.".startswith(f"{arg.partition('=')[0][2:].rstrip('+')}."):
                place = ""
        return place

    def _options(self) -> dict[str, Any]:
        return {a.dest: a for a in self._actions if not a.dest.endswith("help")}

    def _known(self) -> list[str]:
        """All options, with those of the classes that the configs name."""
        names: list[str] = []
        configs = [f"--config={path}" for path in _configs(self._given)]
        if configs and configs != self._given:
            with suppress(UsageError):
                names = [*self.parse_args(configs).keys()]
        return [*(name.replace(".init_args", "") for name in names), *self._options()]


def _configs(args: Sequence[str]) -> Iterator[str]:
    for arg, following in pairwise([*args, ""]):
        name, _, value = arg.partition("=")
        if name in CONFIG:
            yield value or following


def in_words(kind: Any) -> str:
    """ "int >0 | null" of ``PositiveInt | None``; of a class "a subclass of Module"."""

    def with_range(found: re.Match[str]) -> str:
        known: Any = getattr(typing, found[0], None)
        if not hasattr(known, "_expression"):
            return found[0]
        return f"{known._type.__name__} {known._expression.replace('v', '')}"

    names = dict.fromkeys(base.__name__ for base in base_classes(kind))
    text = re.sub(r"Optional\[(.+)\]$", r"\1 | null", type_to_str(kind))
    plain = not text.startswith("Callable") and re.search(r"int|float|str|bool|tuple|dict", text)
    if names and not plain:
        return CLASS + " or ".join(names)
    return re.sub(r"\w+", with_range, text.replace(" | Tensor", ""))


def class_problem(path: str, words: str, report: str) -> str:
    """Why ``path`` does not name a class described by ``words``, from jsonargparse's report."""
    if "is not allowed" in report:
        return f"{path} is not allowed; give {words}"
    module, _, name = path.rpartition(".")
    missing = re.search("has no attribute|No .* attribute", report) or not module
    for home in (module, *HOMES.split()) if missing else ():
        for near in get_close_matches(name, dir(sys.modules.get(home)), 3, 0.7):
            if isinstance(getattr(sys.modules[home], near), type):
                return f"{path} does not exist; did you mean {home}.{near}?"
    cause = re.search(r"No module named '([\w.]+)'", report)
    return f"must be {words}, not {path}" + (f" (no module named {cause[1]})" if cause else "")


def nearest_option(name: str, options: Iterable[str]) -> str:
    """The option with a similar name, or the same name in another group; "" if there is none."""
    options = [*options]
    first, _, rest = name.partition(".")
    groups = {option.partition(".")[0] for option in options}
    if rest and first not in groups and (similar := get_close_matches(first, groups, 1)):
        return f"{similar[0]}.{rest}"
    last = ALIASES.get(name.rpartition(".")[2], name.rpartition(".")[2])
    same = [option for option in options if option.rpartition(".")[2] == last]
    return next(iter([*same, *get_close_matches(name, options, 1)]), "")


def quoted(value: str) -> str:
    """A value as it is written in YAML; text in quotes, at most 60 characters."""
    text = {"None": "null", "True": "true", "False": "false"}.get(value, " ".join(value.split()))
    text = text if len(text) <= 60 else f"{text[:60]}..."
    return text if re.match(r"[\[{]|[-\d.e]+$|null$|true$|false$", text) else f"'{text}'"


@contextmanager
def one_line_of(*kinds: type[Exception], option: str = "") -> Iterator[None]:
    """Turn errors of these kinds and Lightning's misconfigurations into `UsageError`."""
    caught: tuple[type[Exception], ...] = (MisconfigurationException, *kinds)
    try:
        yield
    except DataError:
        raise
    except caught as error:
        line = str(error).strip().partition("\n")[0][:300]
        raise UsageError(f"{option}: {line}" if option else line) from None
    except Exception as error:
        if not isinstance(error, OSError) and (name := _stock_callback(error)):
            line = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(f"trainer.callbacks: {name} does not work here ({line})") from None
        raise


def _stock_callback(error: Exception) -> str:
    """Class of Lightning's callback that raised ``error``, not through other code; or ""."""
    name = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        if module.startswith("pytorch_lightning.callbacks."):
            name = type(frame.f_locals.get("self")).__name__
        elif not module.startswith(("pytorch_lightning.", "torch.")):
            name = ""
    return name
