"""Two processes give what one gives: each sample counted once, files whole, in uneven splits."""

import csv
import json

import pytest
import torch
from conftest import as_processes, config_args, one_run

from benchmarks import tiny_data
from cli import main

EXACT = ["--trainer.precision=32-true"]
CONFIGS = ("aoi", "vessels", "retina_best", "blots_style")


def args_of(config, data, root, *more):
    folder = f"--data.data_dir={tiny_data.data_of(config, data)}"
    return config_args(config, root, *tiny_data.SMALL[config], folder, *EXACT, *more)


def in_two(*args):
    done = as_processes(list(args), processes=2)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("config", CONFIGS)
def test_two_processes_score_as_one(config, data, tmp_path):
    args = args_of(config, data, tmp_path, "--trainer.max_epochs=1")
    main(["fit", *args, "--trainer.limit_train_batches=2"])
    args.append("--ckpt_path=last")
    one = main(["validate", *args]).trainer.callback_metrics
    one = {name: float(value) for name, value in one.items()}
    in_two("validate", *args)
    (evaluation,) = json.loads((one_run(tmp_path) / "run.json").read_text())["evaluations"]
    assert evaluation["devices"] == 2
    assert evaluation["metrics"] == pytest.approx(one, rel=1e-6, abs=1e-6, nan_ok=True)


def test_two_processes_predict_as_one(data, tmp_path):
    args = args_of("aoi", data, tmp_path / "runs", "--trainer.max_epochs=1")
    main(["fit", *args, "--trainer.limit_train_batches=2"])
    args.append("--ckpt_path=last")
    main(["predict", *args, f"--output={tmp_path / 'one'}"])
    in_two("predict", *args, f"--output={tmp_path / 'two'}")
    names = ("predictions.csv", "probabilities.csv")
    tables = [
        [list(csv.reader((tmp_path / n / name).open())) for name in names] for n in ("one", "two")
    ]
    assert len(tables[0][0]) == 1 + 13
    assert tables[0] == tables[1]


def test_two_processes_with_half_the_batch_train_as_one(data, tmp_path):
    """Where each batch's gradient is the mean of the images': no BatchNorm that is trained."""
    # The last, smaller batch of an epoch is padded over two processes; it is left out.
    exact = ["--trainer.max_epochs=2", "--trainer.limit_train_batches=4"]
    weights = []
    for name, batch, fit in (("one", 8, lambda *a: main([*a])), ("two", 4, in_two)):
        fit("fit", *args_of("aoi", data, tmp_path / name, f"--data.batch_size={batch}", *exact))
        last = one_run(tmp_path / name) / "checkpoints/last.ckpt"
        weights.append(torch.load(last, weights_only=True))
    assert weights[0]["global_step"] == weights[1]["global_step"] == 8
    torch.testing.assert_close(weights[0]["state_dict"], weights[1]["state_dict"])
