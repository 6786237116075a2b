"""metrics.csv holds what was logged, whole after every crash."""

import pytest
import torch

from common.errors import DataError
from experiment.metrics_csv import MetricsCSV
from experiment.run_results import read_metrics


def log_epochs(logger, first, last):
    for epoch in range(first, last):
        logger.log_metrics({"lr": 0.1}, 2 * epoch)
        logger.log_metrics({"loss_step": torch.tensor(0.5), "epoch": epoch}, 2 * epoch + 1)
        logger.log_metrics({"loss": 0.5 + epoch, "epoch": epoch}, 2 * epoch + 1)


def test_new_columns_keep_earlier_rows(tmp_path):
    logger = MetricsCSV(tmp_path)
    logger.log_metrics({"b": torch.tensor(0.5), "epoch": 0}, 3)
    logger.log_metrics({"a": 2}, 4)
    logger.log_metrics({"b": torch.tensor(torch.nan)}, 5)
    kept = "a,b,epoch,step\n,0.5,0,3\n2,,,4\n,nan,,5\n"
    assert (tmp_path / "metrics.csv").read_text() == kept


def test_what_follows_the_last_checkpoint_is_dropped(tmp_path):
    log_epochs(MetricsCSV(tmp_path), 0, 2)
    path = tmp_path / "metrics.csv"
    kept = path.read_text()
    log_epochs(MetricsCSV(tmp_path), 2, 4)
    MetricsCSV(tmp_path).keep_epochs(2)
    assert path.read_text() == kept
    MetricsCSV(tmp_path).keep_epochs(0)
    assert path.read_text() == kept.partition("\n")[0] + "\n"


def test_a_run_that_was_killed_before_its_first_step_begins_again(tmp_path):
    MetricsCSV(tmp_path).log_metrics({"lr": 0.1}, 0)  # a row without an epoch
    MetricsCSV(tmp_path).keep_epochs(0)
    assert (tmp_path / "metrics.csv").read_text() == "lr,step,epoch\n"


@pytest.mark.parametrize("tail", ["1,0.", "\n1", "1", "1,0.2,3,4,5,6"])
def test_half_a_last_line_is_dropped(tmp_path, tail):
    log_epochs(MetricsCSV(tmp_path), 0, 2)
    path = tmp_path / "metrics.csv"
    whole = path.read_text()
    path.write_text(whole + tail)
    assert len(read_metrics(path)) == 6
    MetricsCSV(tmp_path).keep_epochs(2)
    assert path.read_text() == whole


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe\x00\n",
        b"epoch,step\n0,1,2\n",
        b"epoch,step\n0,1\n0,1,2\n",
        b"epoch,step\n0,x\n",
        b"a,b\n1,2\n",
    ],
)
def test_other_damage_is_one_line(tmp_path, text):
    (tmp_path / "metrics.csv").write_bytes(text)
    with pytest.raises(DataError, match=r"metrics\.csv: not a table of metrics \(.*; restore"):
        read_metrics(tmp_path / "metrics.csv")
