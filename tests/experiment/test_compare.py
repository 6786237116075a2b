"""The comparison ranks runs by one metric that all have, in whatever order they are given."""

import json
import logging
import re

import pytest
import yaml

from commandline import verbs
from common.errors import DataError
from experiment import compare

CALLBACK = {"class_path": "callbacks.BestCheckpoint"}


def write_run(folder, curves, monitor=("val/accuracy", "max"), lr=0.001, more=(), **record):
    folder.mkdir(parents=True)
    record = {"task": "aoi", "data": "/data", "sample": False, "status": "finished", **record}
    (folder / "run.json").write_text(json.dumps(record))
    options = dict(zip(("monitor", "mode"), monitor, strict=True))
    config = {
        "model": {"class_path": "M", "init_args": {"lr": lr}},
        "data": {"class_path": "D", "init_args": {"num_workers": int(1 / lr)}},
        "trainer": {"callbacks": [{**CALLBACK, "init_args": options}, *more]},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    lines = [",".join(["epoch", "step", *curves])]
    for epoch, values in enumerate(zip(*curves.values(), strict=True)):
        lines.append(",".join(map(str, [epoch, epoch, *values])))
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def order(path):
    return re.findall(r'data-run="([^"]*)"', path.read_text())


def test_best_first_with_what_differs(tmp_path, capsys):
    test = {"stage": "test", "checkpoint": "a", "metrics": {"test/accuracy": 0.94}}
    first = {"val/accuracy": [0.9, 0.8]}
    second = {"val/accuracy": [0.7, 0.95]}
    write_run(tmp_path / "aoi" / "first", first, evaluations=[test])
    average = {"class_path": "callbacks.WeightAverage", "init_args": {"decay": 0.9}}
    write_run(tmp_path / "aoi" / "second", second, lr=0.01, more=[average], sample=True)
    (tmp_path / "aoi" / "second" / "report.html").touch()
    path = verbs.main(["compare", str(tmp_path / "aoi" / "*")])
    assert path == tmp_path / "aoi" / "compare.html"
    assert str(path) in capsys.readouterr().out
    page = path.read_text()
    assert order(path) == ["second", "first"]
    assert "Ordered by Validation accuracy, highest first. " in page
    assert "SAMPLE DATA (synthetic)</strong> in second" in page
    assert ">model.<wbr>lr<" in page
    assert page.count("<a href=") == page.count('<a href="second/report.html">second</a>') == 1
    assert ">WeightAverage<" in page
    for name in ("num_workers", "decay"):
        assert name not in page
    assert '<data value="0.95">' in page
    assert '<data value="0.94">' in page


@pytest.mark.parametrize("flip", [False, True])
def test_runs_with_other_monitors_are_ranked_by_what_all_have(tmp_path, flip):
    # By its own monitor each is best in epoch 2; b has the better accuracy there.
    a = {"val/accuracy": [0.95, 0.8], "val/loss": [0.9, 0.1]}
    b = {"val/accuracy": [0.7, 0.9], "val/loss": [0.2, 0.3]}
    runs = [
        write_run(tmp_path / "a", a, monitor=("val/loss", "min")),
        write_run(tmp_path / "b", b),
    ]
    path = compare.write_comparison(runs[::-1] if flip else runs)
    assert path == tmp_path / "compare.html"
    assert order(path) == ["b", "a"]


def test_order_and_repetition_have_no_effect(tmp_path):
    runs = [
        write_run(tmp_path / config / name, {"val/accuracy": [value]}, config=config)
        for config, name, value in (("aoi", "x", 0.5), ("aoi_best", "x", 0.5), ("aoi", "y", 0.7))
    ]
    pages = []
    for given in (runs, runs[::-1], [*runs, runs[1]]):
        path = compare.write_comparison(given)
        assert path == tmp_path / "aoi" / "compare.html"
        pages.append(re.sub("Written [^.]*", "", path.read_text()))
    assert pages[0] == pages[1] == pages[2]
    assert order(path) == ["y", "x", "../aoi_best/x"]


def test_what_is_no_run_is_left_out_with_a_line(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    good = write_run(tmp_path / "good", {"val/accuracy": [0.5]})
    broken = write_run(tmp_path / "broken", {"val/accuracy": [0.5]})
    (broken / "run.json").write_text("{")
    damaged = write_run(tmp_path / "damaged", {"val/accuracy": [0.5]})
    (damaged / "metrics.csv").write_bytes(b"\xff\xfe")
    notes = tmp_path / "notes"
    notes.mkdir()
    path = compare.write_comparison([broken, notes, damaged, tmp_path / "gone", good])
    assert order(path) == ["good"]
    assert len(caplog.messages) == 4
    for folder in (broken, notes, damaged, tmp_path / "gone"):
        assert any(str(folder) in message for message in caplog.messages)


def test_runs_without_training_or_with_nan_come_last(tmp_path):
    runs = [
        write_run(tmp_path / "nan", {"val/accuracy": ["nan"]}),
        write_run(tmp_path / "empty", {"val/accuracy": []}),
        write_run(tmp_path / "real", {"val/accuracy": [0.1]}),
    ]
    assert order(compare.write_comparison(runs)) == ["real", "empty", "nan"]


def test_refusals(tmp_path):
    with pytest.raises(DataError, match="no run folder"):
        compare.write_comparison([tmp_path])
    runs = [write_run(tmp_path / task, {"val/accuracy": [1]}, task=task) for task in ("a", "b")]
    with pytest.raises(DataError, match="one task"):
        compare.write_comparison(runs)
