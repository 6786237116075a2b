"""The report says what the run folder says, and nothing else."""

import base64
import csv
import io
import json
from html.parser import HTMLParser

import pytest
import yaml
from PIL import Image, PngImagePlugin

from common.errors import DataError
from experiment.headline import headline, short
from experiment.report import write_report
from experiment.run_results import read_results

ROWS = [  # as Lightning writes them: sparse, epochs from 0, validation before training
    {"epoch": 0, "step": 9, "train/loss_step": 0.91},
    {
        "epoch": 0,
        "step": 18,
        "val/accuracy": 0.812345678,
        "val/loss": 0.7,
        "val/accuracy_void": 0.5,
    },
    {"epoch": 0, "step": 18, "train/loss": 0.894312345},
    {"epoch": 1, "step": 37, "val/accuracy": 0.9644, "val/loss": 0.2, "val/accuracy_void": 1.0},
    {"epoch": 1, "step": 37, "train/loss": 1.2345e-05},
    {"step": 37, "lr-Adam": 0.001},
    {"epoch": 2, "step": 56, "val/accuracy": 0.95, "val/loss": 0.3, "val/accuracy_void": 0.75},
    {"epoch": 2, "step": 56, "train/loss": 0.25},
]
EVALUATIONS = [
    {
        "stage": stage,
        "checkpoint": f"/runs/aoi/run/checkpoints/{checkpoint}.ckpt",
        "data": "/data/<aoi>",
        "status": "finished",
        "finished": "2025-01-02T03:04:05",
        "metrics": metrics,
    }
    for stage, checkpoint, metrics in (
        ("test", "epoch=2", {"test/accuracy": 0.94, "test/accuracy_void": 0.25}),
        ("test", "last", {"test/accuracy": 0.93}),
        ("validate", "epoch=2", {"val/accuracy": 0.9645}),
    )
]
CONFIG = {
    "model": {"class_path": "lit_models.DefectClassifier", "init_args": {"lr": 0.001}},
    "trainer": {
        "callbacks": [
            {
                "class_path": "pytorch_lightning.callbacks.ModelCheckpoint",
                "init_args": {"monitor": "val/accuracy", "mode": "max"},
            }
        ]
    },
}


def write_run(folder, rows=ROWS, config=CONFIG, figures=("curves", "confusion"), **record):
    folder.mkdir(parents=True)
    record = {
        "task": "aoi",
        "config": "aoi_best",
        "stage": "fit",
        "data": "/data/<aoi>",
        "sample": False,
        "git_revision": "0123456789ab",
        "machine": "a machine, 2 cores",
        "minutes": 12.5,
        "status": "finished",
        "weights": "IMAGENET1K_V1",
        "evaluations": EVALUATIONS,
        **record,
    }
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    header = ["epoch", "step", *sorted({name for row in rows for name in row if "/" in name})]
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*header, "lr-Adam"])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "figures").mkdir()
    for name in figures:
        text = PngImagePlugin.PngInfo()
        text.add_text("Title", f"Title of {name}")
        text.add_text("Description", f"What {name} shows.")
        image = Image.linear_gradient("L").resize((40, 30))
        image.save(folder / "figures" / f"{name}.png", pnginfo=text)
    return folder


class Page(HTMLParser):
    """The parts of a page that the tests ask for."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.tags, self.images, self.numbers = [], [], []
        self._metric, self._column, self._value, self._scores = None, 0, None, None
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self._metric = attrs.get("data-metric", self._metric)
        self._scores = attrs.get("data-scores", self._scores)
        if tag == "tr":
            self._column = 0
        if tag == "td":
            self._column += 1
        if tag == "data":
            self._value = attrs["value"]
        if tag == "img":
            self.images.append(attrs)

    def handle_data(self, data):
        if self._value is not None:
            where = self._scores
            if where == "Training":
                where = ("best", "last")[self._column - 1]
            self.numbers.append((self._metric, where, float(self._value), data))
            self._value = None


def assert_self_contained(page):
    allowed = ("data:image/png;base64,",)
    for tag, attrs in page.tags:
        assert tag not in ("link", "iframe", "object")
        for name in ("src", "href", "srcset", "data", "poster"):
            assert attrs.get(name, allowed[0]).startswith(allowed)
    assert "@import" not in page.text
    assert "url(" not in page.text


def assert_pictures(page, count):
    assert len(page.images) == count
    for attrs in page.images:
        assert attrs["alt"].strip()
        with Image.open(io.BytesIO(base64.b64decode(attrs["src"].partition(",")[2]))) as image:
            low, high = image.convert("L").getextrema()
            assert high > low, f"{attrs['alt']}: blank"


def test_every_number_is_the_one_that_was_logged(tmp_path):
    page = Page(write_report(write_run(tmp_path / "run")))
    for _, _, value, shown in page.numbers:
        assert shown == short(value)
        assert float(shown) == pytest.approx(value, rel=1e-3, abs=5e-5)
    assert {(metric, where): value for metric, where, value, _ in page.numbers} == {
        ("val/accuracy", "best"): 0.9644,
        ("val/accuracy", "last"): 0.95,
        ("val/loss", "best"): 0.2,
        ("val/loss", "last"): 0.3,
        ("val/accuracy_void", "best"): 1.0,
        ("val/accuracy_void", "last"): 0.75,
        ("train/loss", "best"): 1.2345e-05,
        ("train/loss", "last"): 0.25,
        ("test/accuracy", "Test of epoch=2.ckpt"): 0.94,
        ("test/accuracy_void", "Test of epoch=2.ckpt"): 0.25,
        ("test/accuracy", "Test of last.ckpt"): 0.93,
        ("val/accuracy", "Validation of epoch=2.ckpt"): 0.9645,
    }


def test_one_file_with_pictures_and_no_script(tmp_path):
    page = Page(write_report(write_run(tmp_path / "run")))
    assert_self_contained(page)
    assert_pictures(page, 2)
    assert [image["alt"] for image in page.images] == ["Title of curves", "Title of confusion"]
    assert "What confusion shows." in page.text
    for text in ("AOI defect classification", "/data/&lt;aoi&gt;", "0123456789ab", "12 min"):
        assert text in page.text
    assert "class_path: lit_models.DefectClassifier" in page.text
    assert "SAMPLE" not in page.text
    assert "<script" not in page.text
    assert list(tmp_path.glob("run/.*")) == []


def test_sample_and_interruption_are_said(tmp_path):
    page = Page(write_report(write_run(tmp_path / "run", sample=True, status="interrupted")))
    assert "synthetic test images" not in page.text  # these evaluations are of other data
    assert "SAMPLE DATA (synthetic)" in page.text
    assert "<strong>Interrupted</strong> after 3 epochs" in page.text


def test_nothing_logged_yet(tmp_path):
    folder = write_run(tmp_path / "run", rows=[], figures=(), status="failed", evaluations=[])
    (folder / "config.yaml").unlink()
    page = Page(write_report(folder))
    assert "No metric was logged" in page.text
    assert page.numbers == []


def test_broken_file_is_named(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json: not readable"):
        write_report(folder)


def test_what_a_killed_process_left_in_figures_ends_no_report(tmp_path, caplog):
    folder = write_run(tmp_path / "run")
    (folder / "figures" / ".half-curves-x1.png").write_bytes(b"")
    (folder / "figures" / "mistakes.png").write_bytes(b"\x89PNG")
    page = Page(write_report(folder))
    assert_pictures(page, 2)
    assert "mistakes.png: left out of the report" in caplog.text
    assert "half" not in caplog.text


TESTED = [{**EVALUATIONS[0], "images": {"test": 50}}]
PIXELS = {"test/full_image/dice_pooled": 0.5}


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (
            {"evaluations": TESTED},
            "47 of 50 test images classified correctly (95\u00a0% interval 83.8 to 97.9\u00a0%).",
        ),
        (  # 48.2 right is no count, as where a part was scored
            {"evaluations": [], "images": {"val": 50}, "sample": True},
            "Accuracy 0.9644, on 50 synthetic validation images.",
        ),
        (
            {"task": "vessels", "evaluations": [{**TESTED[0], "images": {}, "metrics": PIXELS}]},
            "Dice 0.5000 in the whole photograph, on test images.",
        ),
        ({"task": "a fifth"}, ""),
    ],
)
def test_headline(tmp_path, record, sentence):
    assert headline(read_results(write_run(tmp_path / "run", **record))) == sentence


def test_tables_beside_the_figures(tmp_path):
    folder = write_run(tmp_path / "run", early_stop="no improvement", images={"train": 1234})
    rows = "".join(f"{i}<.png,a,b,0.5\n" for i in range(201))
    header = "image,true class,predicted class,confidence\n"
    (folder / "figures" / "test_mistakes.csv").write_text(header + rows)
    page = Page(write_report(folder))
    assert "201 mistakes (test)" in page.text
    assert "199&lt;.png" in page.text
    assert "200&lt;.png" not in page.text
    assert_self_contained(page)
    assert "1,234 training" in page.text
    assert "3, stopped early: no improvement" in page.text
