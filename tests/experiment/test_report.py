"""The report says what the run folder says, and nothing else."""

import base64
import io
import re

import pytest
from conftest import write_run
from PIL import Image

from common.errors import DataError
from experiment.report import headline, short, write_report
from experiment.run_results import read_results

ROWS = [  # as Lightning writes them: sparse, epochs from 0, validation before training
    {"epoch": 0, "step": 9, "train/loss_step": 0.91},
    {"epoch": 0, "step": 18, "val/accuracy": 0.812345678, "val/loss": 0.7, "val/a_void": 0.5},
    {"epoch": 0, "step": 18, "train/loss": 0.894312345},
    {"epoch": 1, "step": 37, "val/accuracy": 0.9644, "val/loss": 0.2, "val/a_void": 1.0},
    {"epoch": 1, "step": 37, "train/loss": 1.2345e-05},
    {"step": 37, "lr-Adam": 0.001},
    {"epoch": 2, "step": 56, "val/accuracy": 0.95, "val/loss": 0.3, "val/a_void": 0.75},
    {"epoch": 2, "step": 56, "train/loss": 0.25},
]
TESTED = {
    "stage": "test",
    "checkpoint": "/runs/aoi/run/checkpoints/epoch=2.ckpt",
    "data": "/data/<aoi>",
    "status": "finished",
    "finished": "2025-01-02T03:04:05",
    "metrics": {"test/accuracy": 0.94, "test/a_void": 0.25},
}
VALIDATED = {**TESTED, "stage": "validate", "metrics": {"val/accuracy": 0.9645}}


@pytest.fixture
def run(tmp_path):
    """A run folder with a record of these values."""

    def write(rows=ROWS, **record):
        facts = {"data": "/data/<aoi>", "minutes": 12.5, "git_revision": "0123456789ab"}
        record = {**facts, "evaluations": [TESTED, VALIDATED], **record}
        return write_run(tmp_path / "run", rows, monitor=("val/accuracy", "max"), **record)

    return write


def page_of(folder):
    page = write_report(folder).read_text(encoding="utf-8")
    assert not re.search(r"<(link|iframe|object)|@import|url\(", page), "one file"
    assert all(source[:5] == "data:" for source in re.findall(r'(?:src|href)="([^"]*)', page))
    return page


def test_every_number_is_the_one_that_was_logged(run):
    found = {}
    for section in page_of(run()).split("<section data-scores=")[1:]:
        for metric, row in re.findall(r'<tr data-metric="([^"]*)"(.*?)</tr>', section):
            values = re.findall(r'<data value="([^"]*)">([^<]*)', row)
            assert all(shown == short(float(value)) for value, shown in values)
            found[section.partition('"')[2].partition('"')[0], metric] = [
                float(value) for value, _ in values
            ]
    assert found == {
        ("Training", "val/accuracy"): [0.9644, 0.95],
        ("Training", "val/loss"): [0.2, 0.3],
        ("Training", "val/a_void"): [1.0, 0.75],
        ("Training", "train/loss"): [1.2345e-05, 0.25],
        ("Test of epoch=2.ckpt", "test/accuracy"): [0.94],
        ("Test of epoch=2.ckpt", "test/a_void"): [0.25],
        ("Validation of epoch=2.ckpt", "val/accuracy"): [0.9645],
    }


def test_figures_and_tables_are_in_it(run):
    folder = run(early_stop="no improvement", images={"train": 1234})
    figures = folder / "figures"
    figures.mkdir()
    for name in ("confusion", "curves"):
        Image.linear_gradient("L").resize((40, 30)).save(figures / f"{name}.png")
    (figures / ".half-curves-x1.png").write_bytes(b"")  # of a killed process
    rows = "".join(f"{i}<.png,a,b,0.5\n" for i in range(201))
    header = "image,true class,predicted class,confidence\n"
    (figures / "test_mistakes.csv").write_text(header + rows)
    page = page_of(folder)
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="([^"]*)"', page)
    assert [alt for _, alt in pictures] == ["curves", "confusion"]
    for code, _ in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(code))).size == (40, 30)
    for text in (
        *("AOI defect classification", "/data/&lt;aoi&gt;", "0123456789ab", "12.5"),
        *("1,234 training", "3, stopped early: no improvement", "Mistakes (test): 201"),
        *("199&lt;.png", "class_path: lit_models.DefectClassifier"),
    ):
        assert text in page, text
    assert "200&lt;.png" not in page
    assert "SAMPLE" not in page


def test_sample_and_interruption_are_said(run):
    page = page_of(run(sample=True, status="interrupted"))
    assert "synthetic test images" not in page  # these evaluations are of other data
    assert "SAMPLE DATA (synthetic)" in page
    assert "<strong>Interrupted</strong> after 3 epochs" in page


def test_nothing_logged_yet_and_a_broken_file(run):
    folder = run(rows=[], status="failed", evaluations=[])
    (folder / "config.yaml").unlink()
    assert "No metric was logged" in page_of(folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json: not readable"):
        write_report(folder)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (
            {"evaluations": [{**TESTED, "images": {"test": 50}}]},
            "47 of 50 test images classified correctly (95\u00a0% interval 83.8 to 97.9\u00a0%).",
        ),
        (  # 48.2 right is no count, as where a part was scored
            {"evaluations": [], "images": {"val": 50}, "sample": True},
            "Accuracy 0.9644, on 50 synthetic validation images.",
        ),
        (
            {
                "task": "vessels",
                "evaluations": [{**TESTED, "metrics": {"test/full_image/dice_pooled": 0.5}}],
            },
            "Dice in the whole photograph 0.5000, on test images.",
        ),
        ({"task": "a fifth"}, ""),
    ],
)
def test_headline(run, record, sentence):
    assert headline(read_results(run(**record))) == sentence
