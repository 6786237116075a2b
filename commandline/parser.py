"""One line for a bad option or config in place of jsonargparse's reports."""

import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from enum import Enum
from itertools import pairwise
from typing import Any, NoReturn

import yaml
from jsonargparse import Namespace, get_loader, set_loader, set_parsing_settings
from pytorch_lightning.cli import LightningArgumentParser
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from common.config_file import read_config
from common.errors import DataError, UsageError

# Refuse the classes of jsonargparse's list of dangerous ones, such as subprocess.Popen.
set_parsing_settings(import_path_denylist=[])
_load_yaml = get_loader("yaml")


# In config.yaml of earlier runs: options that are gone, at the values that hold now.
GONE = re.compile(
    r"(?m)^ +(kid_weights: null|target: null\n +templates: null|init_args:\n +images: 4)\n"
)


def _load(text: str) -> Any:
    value = _load_yaml(GONE.sub("", text))
    return text if value is None and text.strip() != "null" else value


# Only ``null`` is null: ``~`` and ``#new`` are names of folders.
set_loader("yaml", _load, (yaml.YAMLError,))
yaml.SafeDumper.add_multi_representer(  # such as a Timer's interval in config.yaml
    Enum, lambda dumper, value: dumper.represent_data(value.value)
)

# Lines of jsonargparse's reports that lead to the sentence that says what is wrong.
OUTER = re.compile(
    r"Parser key|Does not validate|Subtypes:|Errors:|Given value|Problem with given class_path"
    r"|Expected a path but|Expected a <class 'NoneType'>$|Type .+ callable class:$"
)
UNKNOWN = re.compile(
    r"Option '(.+?)'|Group '(.+?)' does not accept option '(.+)'"
    r"|unrecognized arguments: --([^\s=]+)"
)
# Sentences of jsonargparse in plainer words.
PLAINER = (
    (r"<class '(?:[\w.]+\.)?(\w+)'>|typing\.", r"\1"),
    (r"Not of type .+?: (.*?) ?does not conform to restriction (.+)", r"must be \2, not \1"),
    (r"\bv(?=[<>])", ""),
    (r"Not of type (.+?): .*", r"must be \1"),
    (r"Expected a dot import path string:", "must be a class path, not"),
    (r"Expected an? (.+)\. Got value: (.*)", r"must be \1, not \2"),
    (r"Not a valid (subclass of .+)\. Got value: (.*)", r"must be a \1, not \2"),
    (r"Unable to load config", "must be a group of options, not"),
    (r"Unexpected import object .*", "not the path of a class"),
    (r"\.*( Got value:|, denied by).*|, not $", ""),
    (r"\bNone(Type)?\b", "null"),
)
MISSING = re.compile(r"No module named|has no attribute|No .* attribute|a dot import path")
CONFIG = ("--config", "-c")
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
        """Raise UsageError; in the parser of a class, what jsonargparse puts into its report."""
        if not self.exit_on_error:
            super().error(message, ex)
        option, reason = problem(message)
        place = self._place(option)
        if reason == "unknown" and (near := nearest_option(option, self._known(option, place))):
            reason = f"unknown; did you mean {near}?"
        raise UsageError(f"{place}{option}: {reason}".removeprefix(": ")) from None

    def _place(self, option: str) -> str:
        """ "FILE, line N: " if a config set ``option`` last, "" if the command line did."""
        place = ""
        for number, arg in enumerate(self._given):
            for path in _configs(self._given[number : number + 2]):
                lines = self._lines.get(path, {})
                place = f"{path}, line {lines[option]}: " if option in lines else place
            if f"{option}.".startswith(f"{arg.partition('=')[0][2:].rstrip('+')}."):
                place = ""
        return place

    def _known(self, option: str, place: str) -> list[str]:
        """The options of this command, with those of its classes as far as it can be parsed."""
        names = [action.dest for action in self._actions if not action.dest.endswith("help")]
        blamed = (
            f"--{option}",
            *(f"--config={path}" for path in self._lines if place.startswith(path)),
        )
        rest = [a for a in self._given if not a.replace(".init_args", "").startswith(blamed)]
        if rest != self._given:
            with suppress(UsageError):
                parsed = self.parse_args(rest).keys()
                names = [*(name.replace(".init_args", "") for name in parsed), *names]
        return names


def _configs(args: Sequence[str]) -> Iterator[str]:
    for arg, following in pairwise([*args, ""]):
        name, _, value = arg.partition("=")
        if name in CONFIG:
            yield value or following


def problem(report: str) -> tuple[str, str]:
    """The option that a report of jsonargparse is about, and what is wrong with it."""
    keys = re.findall(r'Parser key "([^"]+)"', report)
    option = ".".join(key for key, before in zip(keys, ["", *keys], strict=False) if key != before)
    lines = re.split(r"\n|(?<=\":) |(?<=callable class:) ", report)
    lines = [line.strip().removeprefix("- ") for line in lines]
    place = next((i for i, line in enumerate(lines) if line and not OUTER.match(line)), -1)
    reason = lines[place]
    if unknown := UNKNOWN.match(reason):
        names = [option, *(part.removesuffix("+") for part in unknown.groups() if part)]
        return ".".join(filter(None, names)), "unknown"
    if argument := re.match(r"argument (?:-c/)?--([^:]+): (.+)", reason):
        return argument[1], argument[2].replace("expected one argument", "needs a value")
    if required := re.match(r"the following arguments are required: (.+)", reason):
        return f"{option}.{required[1]}".lstrip("."), "missing; give it, or a --config that has it"
    if word := re.match(r"unrecognized arguments: (\S+)", reason):
        return "", f"{word[1]!r} is not an option; options begin with --"
    advice = ""
    if MISSING.search(reason):
        paths = re.findall(r"(?:given class_path '|path string: |Got value: )([\w.]+)", report)
        advice = similar_class(paths[-1]) if paths else ""
    elif reason.startswith("Expected a ") and lines[place - 2].startswith("Subtypes: ["):
        value = [line[13:] for line in lines[place:] if line.startswith("Given value: ")]
        reason = f"must be one of {lines[place - 2][11:-1]}, not {value[0]}"
    for pattern, words in PLAINER:
        reason = re.sub(pattern, words, reason)
    return option, " ".join(reason.split())[:300] + advice


def similar_class(path: str) -> str:
    """ "; did you mean X?" for the path of a class that does not exist, or ""."""
    module, _, name = path.rpartition(".")
    for home in (module, *HOMES.split()):
        for near in get_close_matches(name, dir(sys.modules.get(home)), 3, 0.7):
            if isinstance(getattr(sys.modules[home], near), type):
                return f"; did you mean {home}.{near}?"
    return ""


def nearest_option(name: str, options: Sequence[str]) -> str:
    """The option with a similar name, or the same name in another group; "" if there is none."""
    first, _, rest = name.partition(".")
    groups = {option.partition(".")[0] for option in options}
    if rest and first not in groups and (similar := get_close_matches(first, groups, 1)):
        return f"{similar[0]}.{rest}"
    last = ALIASES.get(name.rpartition(".")[2], name.rpartition(".")[2])
    same = [option for option in options if option.rpartition(".")[2] == last]
    close = get_close_matches(name, options, 1, 0.85)
    return next(iter([*close, *same] if rest else [*same, *close]), "")


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
