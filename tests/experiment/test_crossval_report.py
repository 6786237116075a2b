import math

import numpy as np
import pandas as pd
import pytest

from experiment.crossval_report import pooled, read_image_tables, summary


def table(images, **scores):
    return pd.DataFrame({"ID": [*images], "run": "fold-0", **scores})


def test_of_shares_the_interval_is_wilsons():
    images = [f"{part}{i}" for part in "ab" for i in range(50)]
    found = pooled(table(images, accuracy=[float(i > 0) for i in range(50)] * 2))["accuracy"]
    assert (found["value"], found["images"], found["interval"]) == (0.98, 100, "Wilson")
    z, n, p = 1.959964, 100, 0.98
    center, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    expected = [(center + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
    np.testing.assert_allclose([found["low"], found["high"]], expected, atol=1e-6)


def test_of_other_scores_it_is_the_bootstraps_over_images():
    values = np.random.default_rng(0).normal(30, 2, 200)
    found = pooled(table([str(i) for i in range(200)], psnr=values))["psnr"]
    error = values.std() / math.sqrt(200)
    np.testing.assert_allclose(found["low"], values.mean() - 1.96 * error, atol=0.3 * error)
    np.testing.assert_allclose(found["high"], values.mean() + 1.96 * error, atol=0.3 * error)


def test_an_image_counts_once_whatever_the_number_of_seeds():
    found = pooled(table("ababab", dice=[0.2, 0.8, 0.2, 0.8, 0.5, 0.5]))["dice"]
    assert found["images"] == 2
    assert found["value"] == pytest.approx(0.5)
    assert pooled(table("a", dice=[0.2]))["dice"]["low"] is None, "no interval from one image"


def test_spread_over_runs():
    members = [{"metrics": {"loss": x}, "best_epoch": x} for x in (1.0, 3.0)]
    spread = {"mean": 2.0, "std": math.sqrt(2), "min": 1.0, "max": 3.0}
    assert summary(members, table("a", loss=[1.0]))["metrics"] == {"loss": spread}
    assert summary(members[:1], table("a", loss=[1.0]))["metrics"]["loss"]["std"] is None


def test_a_table_that_is_none(tmp_path):
    assert not len(read_image_tables([tmp_path / "gone"]))
    path = tmp_path / "validation_images.csv"
    path.write_text("ID,dice\nnan,0.5\n1,nan\n")
    found = read_image_tables([tmp_path, tmp_path / "gone"])
    assert found.values.tolist()[0] == ["nan", tmp_path.name, 0.5]
    assert found["ID"][1] == "1"
