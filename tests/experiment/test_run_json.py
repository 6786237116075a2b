"""run.json keeps the training, its processes, and each evaluation apart."""

import json

from experiment.run_json import RunJSON

FIT = {"stage": "fit", "task": "aoi", "data": "d", "command": "one", "checkpoint": None}


def test(path, checkpoint, **facts):
    return {"stage": "test", "task": "aoi", "data": "d", "checkpoint": checkpoint, **facts}


test.__test__ = False


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
    second._clock -= 60 * 5
    second.finish("failed", error="no disk")
    assert (read(path)["status"], read(path)["error"]) == ("failed", "no disk")
    third = RunJSON(path)
    third.start({**FIT, "command": "three", "wandb_id": "w1"})
    third._clock -= 60
    third.finish("finished", best_checkpoint="epoch=1.ckpt")
    record = read(path)
    assert record["minutes"] == 6
    assert record["command"] == "three"
    assert record["error"] is None
    assert record["started"] <= record["finished"]
    assert (record["status"], record["best_checkpoint"]) == ("finished", "epoch=1.ckpt")


def test_evaluations_are_rows_and_leave_the_training_alone(tmp_path):
    path = tmp_path / "run.json"
    training = RunJSON(path)
    training.start(FIT)
    training.finish("finished")
    before = read(path)
    for checkpoint, value in (("a", 0.1), ("b", 0.2), ("a", 0.3)):
        record = RunJSON(path)
        record.start(test(path, checkpoint))
        record.finish("finished", metrics={"test/accuracy": value})
    after = read(path)
    evaluations = after.pop("evaluations")
    assert after == before
    assert [(one["checkpoint"], one["metrics"]["test/accuracy"]) for one in evaluations] == [
        ("b", 0.2),
        ("a", 0.3),
    ]
    assert all(one["status"] == "finished" for one in evaluations)
    again = RunJSON(path)
    again.start(FIT)
    assert len(read(path)["evaluations"]) == 2


def test_evaluation_in_a_folder_of_its_own_and_prediction(tmp_path):
    path = tmp_path / "run.json"
    for _ in range(2):
        record = RunJSON(path)
        record.start(test(path, "a"))
        record.finish("finished", metrics={})
    found = read(path)
    assert (found["stage"], found["status"], len(found["evaluations"])) == ("test", "finished", 1)
    path = tmp_path / "predictions" / "run.json"
    record = RunJSON(path)
    record.start({**test(path, "a"), "stage": "predict"})
    record.finish("finished", skipped=2)
    found = read(path)
    assert (found["stage"], found["skipped"]) == ("predict", 2)
    assert "evaluations" not in found


def test_an_evaluation_that_ends_while_the_run_trains_is_kept(tmp_path):
    path = tmp_path / "run.json"
    training = RunJSON(path)
    training.start(FIT)
    evaluation = RunJSON(path)
    evaluation.start(test(path, "a"))
    training.update()
    evaluation.finish("finished", metrics={"test/accuracy": 0.5})
    training.finish("finished", best_checkpoint="a")
    record = read(path)
    assert [one["metrics"] for one in record["evaluations"]] == [{"test/accuracy": 0.5}]
    assert record["status"] == "finished"
