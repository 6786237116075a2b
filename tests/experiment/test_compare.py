"""The comparison ranks runs by one metric that all have, in whatever order they are given."""

import re

import pytest
from conftest import write_run

from commandline import verbs
from common.errors import DataError
from experiment import compare


def write(folder, monitor=("val/accuracy", "max"), record=(), curve=None, **more):
    """A run folder; ``curve`` is the accuracy of validation by epoch."""
    curves = more.pop("curves", {"val/accuracy": curve or []})
    rows = [
        {"epoch": epoch, "step": epoch, **dict(zip(curves, values, strict=True))}
        for epoch, values in enumerate(zip(*curves.values(), strict=True))
    ]
    return write_run(folder, rows, monitor=monitor, **dict(record), **more)


def order(path):
    return re.findall(r'data-run="([^"]*)"', path.read_text())


def test_best_first_with_what_differs(tmp_path, capsys):
    tests = [{"stage": "test", "checkpoint": "a", "metrics": {"test/accuracy": 0.94}}]
    write(tmp_path / "aoi" / "first", curve=[0.9, 0.8], record={"evaluations": tests})
    average = {"class_path": "callbacks.WeightAverage", "init_args": {"decay": 0.9}}
    more = {"lr": 0.01, "num_workers": 3, "callbacks": [average], "sample": True}
    write(tmp_path / "aoi" / "second", curve=[0.7, 0.95], **more)
    (tmp_path / "aoi" / "second" / "report.html").touch()
    path = verbs.main(["compare", str(tmp_path / "aoi" / "*")])
    assert path == tmp_path / "aoi" / "compare.html"
    assert str(path) in capsys.readouterr().out
    page = path.read_text()
    assert order(path) == ["second", "first"]
    assert "Ordered by Validation accuracy, highest first." in page
    assert "SAMPLE DATA (synthetic)</strong> in second" in page
    assert page.count("<a href=") == page.count('<a href="second/report.html">second</a>') == 1
    for text in (">model.<wbr>lr<", ">WeightAverage<", 'value="0.95">', 'value="0.94">'):
        assert text in page
    assert "num_workers" not in page


def test_runs_are_ranked_by_what_all_have_in_whatever_order(tmp_path):
    # By its own monitor each is best in epoch 2; b has the better accuracy there.
    curves = {"val/accuracy": [0.95, 0.8], "val/loss": [0.9, 0.1]}
    a = write(tmp_path / "aoi" / "a", monitor=("val/loss", "min"), curves=curves)
    b = write(tmp_path / "aoi" / "b", curves={"val/accuracy": [0.7, 0.9], "val/loss": [0.2, 0.3]})
    other = write(tmp_path / "aoi_best" / "a", curve=[0.85], config="aoi_best")
    pages = []
    for given in ([a, b, other], [other, b, a], [a, b, other, b]):
        path = compare.write_comparison(given)
        assert path == tmp_path / "aoi" / "compare.html"
        pages.append(path.read_text())
    assert pages[0] == pages[1] == pages[2]
    assert order(path) == ["b", "../aoi_best/a", "a"]


def test_what_is_no_run_is_left_out_and_damage_is_named(tmp_path, caplog):
    good = write(tmp_path / "good", curve=[0.5])
    assert order(compare.write_comparison([tmp_path / "gone", good])) == ["good"]
    assert f"{tmp_path / 'gone'}: left out" in caplog.text
    (good / "metrics.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"good/metrics\.csv: not a table of metrics"):
        compare.write_comparison([good])


def test_runs_without_training_or_with_nan_come_last(tmp_path):
    curves = {"nan": ["nan"], "empty": [], "real": [0.1]}
    runs = [write(tmp_path / name, curve=curve) for name, curve in curves.items()]
    assert order(compare.write_comparison(runs)) == ["real", "empty", "nan"]


def test_refusals(tmp_path):
    with pytest.raises(DataError, match="no run folder"):
        compare.write_comparison([tmp_path])
    runs = [write(tmp_path / task, curve=[1], task=task) for task in ("a", "b")]
    with pytest.raises(DataError, match="one task"):
        compare.write_comparison(runs)
