"""Imports point one way, and no file grows beyond what one reads in one go."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

MAY_IMPORT = {
    "common": set(),
    "commandline": {"experiment", "common"},
    "datamodules": {"common"},
    "lit_models": {"datamodules", "common"},
    "experiment": {"datamodules", "common"},
    "inference": {"lit_models", "experiment", "datamodules", "common"},
    "callbacks": {"inference", "lit_models", "experiment", "datamodules", "common"},
}
FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    others = imported(path) & {*MAY_IMPORT, "cli", "benchmarks", "tests"} - {package}
    assert others <= MAY_IMPORT[package]


@pytest.mark.parametrize("folder", [*MAY_IMPORT, "benchmarks", "."])
def test_files_are_short(folder):
    paths = (ROOT / folder).glob("*.py") if folder == "." else (ROOT / folder).rglob("*.py")
    long = {str(path): n for path in paths if (n := len(path.read_text().splitlines())) > 300}
    assert not long


def test_a_method_fits_on_a_page():
    """The LightningModules themselves, with their docstrings."""
    for path in (ROOT / "lit_models").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno - node.lineno < 120, node.name
