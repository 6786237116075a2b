"""README and docs: links, sizes, quoted configs, notebooks, and the commands' extraction."""

import importlib.util
import json
import re
import sys

import pytest
import yaml
from conftest import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
TASK_PAGES = sorted((ROOT / "docs" / "tasks").glob("*.md"))


def load_script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def anchors(text):
    """As GitHub and the site make them of headings."""
    headings = re.findall(r"^#+ (.*)", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


def parts(expected, actual):
    """Whether a config says all that an excerpt of it says."""
    if isinstance(expected, dict):
        return all(k in actual and parts(v, actual[k]) for k, v in expected.items())
    return expected == actual


@pytest.mark.parametrize("page", TASK_PAGES, ids=lambda page: page.stem)
def test_quoted_yaml_is_in_the_config(page):
    quoted = re.findall(r"^```yaml\n# (configs/\S+)\n(.*?)^```", page.read_text(), re.M | re.S)
    assert quoted
    for path, text in quoted:
        assert parts(yaml.safe_load(text), yaml.safe_load((ROOT / path).read_text())), path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_have_no_outputs(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.scripts
def test_quickstart_runs(tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("onnxscript")
    for name in ("configs", "cli.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # before an installed project, which may be another
    notebook = nbformat.read(ROOT / "docs" / "quickstart.ipynb", 4)
    resources = {"metadata": {"path": str(tmp_path / "docs")}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) > 4
    assert notebook.cells[-1].outputs[-1].data["text/plain"] == "True"


def test_commands_are_found_limited_and_named():
    script = load_script(ROOT / "docs" / "check_commands.py")
    text = (
        "```bash\npython cli.py fit --config a.yaml \\\n    --x 1  # why\n\nmake fit\n```\n"
        "<!-- check: serves -->\n```bash\npython cli.py demo\n```\n"
        "`datamodules/x.py`\n\n```python\nto_write\n```\n\n```python\nto_run\n```\n```\nno\n```\n"
    )
    found = list(script.commands("page.md", text))
    assert [(c.text.strip(), bool(c.skip)) for c in found] == [
        ("python cli.py fit --config a.yaml --x 1", False),
        ("make fit", True),
        ("python cli.py demo", True),
        ("to_run", False),
    ]
    args = script.limited(["fit", "--config", "configs/a.yaml", "--x", "1"], {"a": ["--small"]})
    assert args[:3] == ["fit", "--config", "configs/a.yaml"]
    assert args[-3:] == ["--small", "--x", "1"]
    assert script.limited(["compare", "runs/a"], {}) == ["compare", "runs/a"]


@pytest.mark.parametrize(("text", "fails"), [("true", False), ("ls no_such_file", True)])
def test_the_status_of_a_command_is_its_own(tmp_path, text, fails):
    script = load_script(ROOT / "docs" / "check_commands.py")
    status, output = script.run(script.Command("page.md", 1, "bash", text, None), tmp_path, {})
    assert (status != 0) == fails
    assert ("no_such_file" in output) == fails


def test_lowest_versions_are_of_what_is_used_at_run_time():
    script = load_script(ROOT / ".ci" / "lowest.py")
    project = {
        "dependencies": ["torch>=2.9", "numpy>=2", "x[extra]>=1.2,<2"],
        "optional-dependencies": {"codec": ["c>=0.4,<0.6"], "dev": ["ruff>=1"], "docs": ["m>=9"]},
    }
    assert script.lowest(project, {"torch"}) == {"numpy": "2", "x": "1.2", "c": "0.4"}


def test_figures_of_the_methods_are_of_their_script(tmp_path):
    script = load_script(ROOT / "docs" / "draw_methods.py")
    configs = {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    assert {name for rows in script.METHODS.values() for name in rows} == configs
    assert {f"method_{task}" for task in script.METHODS} == {
        path.stem for path in (ROOT / "docs" / "images").glob("method_*.svg")
    }
