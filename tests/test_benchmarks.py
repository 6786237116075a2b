"""The plain loops of the benchmarks run on the layouts that the tasks read."""

import json
import subprocess
import sys

import torch
from conftest import ROOT
from test_blots import write_blots
from torchvision.models import resnet18


def printed(*command):
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def record(*command):
    return json.loads(printed(*command)[-1])


def test_blot_floors_are_scored(tmp_path):
    data = write_blots(tmp_path, triples=20, side=64, membranes=10)
    lines = printed("benchmarks/blot_floors.py", str(data))
    rows = [line for line in lines if line.startswith(("| painted", "| ridge"))]
    assert len(rows) == 2 * 5 + 2
    l1 = [float(row.split("|")[3]) for row in rows]
    assert all(0 < value < 1 for value in l1)


def test_plain_aoi_runs(aoi_folder, tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "weights.pth"
    torch.save(resnet18().state_dict(), weights)
    script = ["benchmarks/plain_aoi.py", f"--data_dir={aoi_folder}", f"--weights={weights}"]
    found = record(*script, "--epochs=2")
    assert len(found["epoch_seconds"]) == 2
    assert len(found["scores"]) == 2
    assert 0 <= min(found["scores"]) <= max(found["scores"]) <= 1


def test_plain_blots_trains_as_often_as_there_are_triples(tmp_path):
    data = write_blots(tmp_path)
    for more in ([], ["--shipped"]):
        found = record("benchmarks/plain_blots.py", f"--data_dir={data}", "--epochs=1", *more)
        assert len(found["step_seconds"]) == 8
        assert -1 <= found["scores"][0] <= 1
