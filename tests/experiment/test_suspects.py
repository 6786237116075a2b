"""Wrong labels and near-duplicates are found in what cross-validation held out."""

import csv

import numpy as np
import pandas as pd
from PIL import Image

from experiment.suspects import find_duplicates, find_suspects, write_suspects


def predictions(names, labels, wrong, sure=0.8):
    """Of two classes "a" and "b", right but for ``wrong`` images."""
    rng = np.random.default_rng(0)
    own = np.where(np.isin(names, wrong), 1 - sure, sure) + rng.normal(0, 0.02, len(names))
    p = np.where(np.array(labels)[:, None] == [0, 1], own[:, None], 1 - own[:, None])
    columns = {"accuracy": 1.0, "label": np.array(labels, float), "p(a)": p[:, 0], "p(b)": p[:, 1]}
    runs = [f"fold-{i % 2}" for i in range(len(names))]
    return pd.DataFrame({"ID": names, "run": runs, **columns})


def test_labels_that_contradict_come_first_and_close_calls_do_not():
    names = [f"{i}.png" for i in range(40)]
    images = predictions(names, [i % 2 for i in range(40)], ["3.png", "8.png"])
    close = images["ID"] == "5.png"
    images.loc[close, ["p(a)", "p(b)"]] = 0.55, 0.45  # of class b, barely the other one
    images.loc[images["ID"] == "8.png", ["p(a)", "p(b)"]] = 0.02, 0.98
    found = find_suspects(images)
    assert found["ID"].tolist() == ["8.png", "3.png"]
    assert found.loc[0, ["label", "predicted"]].tolist() == ["a", "b"]
    assert found["probability"][0] == 0.98


def test_several_seeds_are_averaged():
    names = [f"{i}.png" for i in range(20)]
    labels = [i % 2 for i in range(20)]
    both = [predictions(names, labels, wrong, sure=0.9) for wrong in (["3.png"], [])]
    assert len(find_suspects(both[0])) == 1
    assert find_suspects(pd.concat(both)).empty


def test_duplicates_may_differ_in_light_and_noise():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (5, 16, 16))
    images[3] = 0.8 * images[1] + 20 + rng.normal(0, 2, (16, 16))
    (pair,) = find_duplicates(images.round())
    assert pair[:2] == (1, 3)


def test_what_is_written(tmp_path):
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(24)]
    rng = np.random.default_rng(0)
    for name in names:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(path)
    (tmp_path / "data" / names[3]).write_bytes((tmp_path / "data" / names[2]).read_bytes())
    images = predictions(names, [i % 2 for i in range(24)], [names[4]])
    (tmp_path / "out").mkdir()
    lines = write_suspects(tmp_path / "out", images, {"data_dir": str(tmp_path / "data")})
    tables = {}
    for name in ("suspects", "duplicates"):
        with (tmp_path / "out" / f"{name}.csv").open() as file:
            tables[name] = list(csv.reader(file))
    assert tables["suspects"][0][:4] == ["ID", "label", "predicted", "probability"]
    assert [row[0] for row in tables["suspects"][1:]] == [names[4]]
    assert tables["duplicates"][1][:4] == [names[2], "fold-0", names[3], "fold-1"]
    assert Image.open(tmp_path / "out" / "suspects.png").width > 500
    assert "![Suspects](suspects.png)" in lines
