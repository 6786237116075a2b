"""Any bad option or config is one line that names it, what is wrong, and what would be right."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from jsonargparse.typing import ClosedUnitInterval, PositiveInt
from pytorch_lightning.cli import OptimizerCallable
from torch import nn

from commandline.parser import OneLineParser
from common.errors import DataError, UsageError


@dataclass(frozen=True)
class Inputs:
    channels: Literal["gray", "rgb"] = "gray"
    diameter: float | None = 3.5


class Base:
    pass


class Part(Base):
    def __init__(
        self,
        size: PositiveInt = 3,
        fraction: ClosedUnitInterval | None = None,
        inputs: Inputs = Inputs(),
        loss: nn.Module | None = None,
        network: Callable[[int], nn.Module] = nn.Identity,
        optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=0.1),
        parts: list[Base] | None = None,
    ) -> None:
        pass


class Needy(Base):
    def __init__(self, width: int) -> None:
        pass


@pytest.fixture
def parser():
    parser = OneLineParser()
    parser.add_argument("--config", action="config")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_subclass_arguments(Base, "model", required=True)
    return parser


def line_of(parser, *args):
    with pytest.raises(UsageError) as caught:
        parser.parse_args([f"--model={__name__}.Part", *args])
    return str(caught.value)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--model.sise=3"], "model.sise: unknown; did you mean model.size?"),
        (["--model.size=-1"], "model.size: must be >0, not -1"),
        (["--model.fraction=2"], "model.fraction: must be >=0 and <=1"),
        (["--model.inputs.diameter=x"], "must be one of float, null, not x"),
        (
            ["--model.inputs.channels=blue"],
            "model.inputs.channels: must be Literal['gray', 'rgb'], not blue",
        ),
        (
            ["--model.inputs.chanels=gray"],
            "model.inputs.chanels: unknown; did you mean model.inputs.channels?",
        ),
        (["--model.optimzer.lr=3"], "did you mean model.optimizer.lr?"),
        (["--epochs=abc"], "epochs: must be int, not abc"),
        (["--epochs"], "epochs: needs a value"),
        (["--epo=3"], "epo: unknown"),
        (["word"], "'word' is not an option; options begin with --"),
        (["--model.loss=nowhere.L1Loss"], "No module named 'nowhere'"),
        (["--model.loss=L1Loss!"], "must be a class path, not L1Loss!"),
        (
            ["--model.optimizer=torch.nn.L1Loss"],
            "Expected 'torch.nn.L1Loss' to be a subclass of Optimizer",
        ),
        ([f"--model={__name__}.Needy"], "model.width: must be int"),
        ([f"--model.parts+={__name__}.Part", "--model.parts.sise=3"], "model.parts.sise: unknown"),
        (["--config=gone.yaml"], "gone.yaml: cannot be read (No such file"),
    ],
)
def test_bad_option_is_one_line(parser, args, line):
    told = line_of(parser, *args)
    assert line in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("model:\n  class_path: x\n init_args: [\n", "c.yaml, line 3: not valid YAML"),
        ("epochs: 3\nmodel:\n  init_args:\n    sise: 3\n", "c.yaml, line 4: model.sise: unknown"),
        ("model: {init_args: {size: 0}}", "c.yaml, line 1: model.size: must be >0"),
        ("epochs: 3\nepoch: 4\n", "c.yaml, line 2: epoch: unknown; did you mean epochs?"),
        ("[1, 2]", "c.yaml: has no options"),
        ("\x00", "c.yaml: not valid YAML"),
    ],
)
def test_bad_config_names_file_and_line(parser, tmp_path, monkeypatch, text, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(text)
    assert line_of(parser, "--config=c.yaml").startswith(line)
    assert line_of(parser, "--config", "c.yaml").startswith(line)


def test_what_was_typed_last_is_blamed(parser, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("model:\n  init_args:\n    optimizer: {init_args: {lr: abc}}\n    size: 0\n")
    assert "line 3: model.optimizer.lr" in line_of(parser, f"--config={path}", "--model.size=1")
    path.write_text("model:\n  init_args:\n    size: 1\n")
    told = line_of(parser, f"--config={path}", "--model.size=-1")
    assert told == "model.size: must be >0, not -1"


def test_options_that_are_gone_are_known_where_they_change_nothing(parser, tmp_path):
    path, part = tmp_path / "config.yaml", f"model:\n  class_path: {__name__}.Part\n  init_args:\n"
    gone = "    kid_weights: null\n    target: null\n    templates: null\n"
    path.write_text(f"{part}{gone}    size: 4\n")
    assert parser.parse_args([f"--config={path}"]).model.init_args.size == 4
    path.write_text(f"{part}    target: photos/\n    templates: null\n")
    assert line_of(parser, f"--config={path}").endswith("line 4: model.target: unknown")


def test_null_for_every_optional_value(parser):
    options = ["inputs.diameter", "fraction", "loss"]
    args = [f"--model.{option}=null" for option in options]
    model = parser.parse_args([f"--model={__name__}.Part", *args]).model.init_args
    assert [model[option] for option in options] == [None, None, None]


class Picky:
    def __init__(self, size: int = 1) -> None:
        raise {2: DataError("data.size: wrong"), 3: ValueError("too large\nand more")}.get(
            size, KeyError("bug")
        )


@pytest.mark.parametrize(
    ("size", "error", "line"),
    [(2, DataError, "data.size: wrong"), (3, UsageError, "too large"), (4, KeyError, "bug")],
)
def test_constructors_errors_come_through(size, error, line):
    parser = OneLineParser()
    parser.add_subclass_arguments(Picky, "part")
    config = parser.parse_args([f"--part={__name__}.Picky", f"--part.size={size}"])
    with pytest.raises(error, match=rf"^'?{line}'?$"):
        parser.instantiate(config)
