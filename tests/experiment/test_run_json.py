"""run.json keeps the training, its processes, and each evaluation apart."""

import json

import pytest

from common.errors import DataError
from experiment.run_json import RunJSON, read_record

FIT = {"stage": "fit", "task": "aoi", "data": "d", "command": "one", "checkpoint": None}


def read(path):
    return json.loads(path.read_text())


def test_training_over_three_processes(tmp_path):
    path = tmp_path / "run.json"
    first = RunJSON(path)
    first.start({**FIT, "wandb_id": "w1"})
    assert read(path)["status"] == "running"  # killed
    second = RunJSON(path)
    assert second.record["wandb_id"] == "w1"
    second.start({**FIT, "command": "two", "checkpoint": "last.ckpt", "wandb_id": "w1"})
    second._began -= 60 * 5
    second.finish("failed", error="no disk")
    assert (read(path)["status"], read(path)["error"]) == ("failed", "no disk")
    third = RunJSON(path)
    third.start({**FIT, "command": "three", "wandb_id": "w1"})
    third._began -= 60
    third.finish("finished", best_checkpoint="epoch=1.ckpt")
    record = read(path)
    assert record["minutes"] == 6
    assert record["command"] == "three"
    assert record["error"] is None
    assert record["started"] <= record["finished"]
    assert (record["status"], record["best_checkpoint"]) == ("finished", "epoch=1.ckpt")


def evaluate(path, checkpoint, stage="test", **facts):
    record = RunJSON(path)
    record.start({"stage": stage, "task": "aoi", "data": "d", "checkpoint": checkpoint})
    record.finish("finished", **facts)


def test_evaluations_are_rows_and_leave_the_training_alone(tmp_path):
    path = tmp_path / "run.json"
    training = RunJSON(path)
    training.start(FIT)
    evaluate(path, "a", metrics={"test/accuracy": 0.1})  # while the run trains
    training.finish("finished", best_checkpoint="a")
    before = read(path)
    for checkpoint, value in (("b", 0.2), ("a", 0.3)):
        evaluate(path, checkpoint, metrics={"test/accuracy": value})
    after = read(path)
    found = [(e["checkpoint"], e["metrics"]["test/accuracy"]) for e in after.pop("evaluations")]
    assert found == [("b", 0.2), ("a", 0.3)]
    assert [one["checkpoint"] for one in before.pop("evaluations")] == ["a"]
    assert after == before
    RunJSON(path).start(FIT)
    assert len(read(path)["evaluations"]) == 2


@pytest.mark.parametrize("text", ["[]", '{"evaluations": [3]}', '{"evaluations": [{}]}'])
def test_what_is_not_a_record_is_one_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run\.json: not a record"):
        read_record(tmp_path / "run.json")
