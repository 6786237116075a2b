import math

import numpy as np
import pytest

from common.errors import DataError
from experiment.crossval_scores import pooled, read_image_table, spread


def test_of_shares_the_interval_is_wilsons():
    tables = [{f"{part}{i}": {"accuracy": float(i > 0)} for i in range(50)} for part in "ab"]
    found = pooled(tables)["accuracy"]
    assert (found["value"], found["images"], found["interval"]) == (0.98, 100, "Wilson")
    z, n, p = 1.959964, 100, 0.98
    center, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    expected = [(center + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
    np.testing.assert_allclose([found["low"], found["high"]], expected, atol=1e-6)


def test_of_other_scores_it_is_the_bootstraps_over_images():
    values = np.random.default_rng(0).normal(30, 2, 200)
    found = pooled([{str(i): {"psnr": v} for i, v in enumerate(values)}])["psnr"]
    error = values.std() / math.sqrt(200)
    np.testing.assert_allclose(found["low"], values.mean() - 1.96 * error, atol=0.3 * error)
    np.testing.assert_allclose(found["high"], values.mean() + 1.96 * error, atol=0.3 * error)


def test_an_image_counts_once_whatever_the_number_of_seeds():
    once = {"a": {"dice": 0.2}, "b": {"dice": 0.8}}
    found = pooled([once, once, {"a": {"dice": 0.5}, "b": {"dice": 0.5}}])["dice"]
    assert found["images"] == 2
    assert found["value"] == pytest.approx(0.5)
    assert pooled([{"a": {"dice": 0.2}}])["dice"]["low"] is None, "no interval from one image"


def test_spread():
    assert spread([1.0, 3.0]) == {"mean": 2.0, "std": math.sqrt(2), "min": 1.0, "max": 3.0}
    assert spread([1.0])["std"] is None


def test_a_table_that_is_none(tmp_path):
    path = tmp_path / "validation_images.csv"
    assert read_image_table(path) == {}
    path.write_text("ID,dice\na.png,0.5\n")
    assert read_image_table(path) == {"a.png": {"dice": 0.5}}
    path.write_text("ID,dice\na.png,x\n")
    with pytest.raises(DataError, match="not a table of scores"):
        read_image_table(path)
