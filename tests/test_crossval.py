"""Cross-validation from the command line, and what its members say together."""

import json

import numpy as np
import pytest
from conftest import aoi_args, config_args, crossvalidate, read_table, write_aoi

from benchmarks.tiny_data import write_drive
from callbacks.run_recorder import run_folder
from cli import main
from common.errors import DataError, UsageError
from inference import load

CALLBACKS = (
    "--trainer.callbacks=[{class_path: callbacks.TemperatureScaling},"
    "{class_path: callbacks.AOIWriter}, {class_path: callbacks.BestCheckpoint, "
    "init_args: {monitor: val/accuracy, mode: max}}]"
)
SMALL = ["--model.optimizer.lr=0.5", CALLBACKS]
SHORT = ["--folds=2", "--trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def crossvalidated(tmp_path_factory):
    """A finished cross-validation of aoi on tiny data: its folder, and arguments for the others."""
    root = tmp_path_factory.mktemp("crossval")
    images = write_aoi(root / "images", images_per_class=4)
    args = aoi_args(images, root / "runs", *SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        folder = crossvalidate([*args, *SHORT], main)
    return folder, args


def test_what_it_leaves(crossvalidated):
    folder, _ = crossvalidated
    record = json.loads((folder / "crossval.json").read_text())
    images = read_table(folder / "out_of_fold.csv")
    assert len(images) == len({row["ID"] for row in images}) == 24, "each image is held out once"
    accuracy = record["out_of_fold"]["accuracy"]
    assert accuracy["value"] == pytest.approx(np.mean([float(row["accuracy"]) for row in images]))
    assert (accuracy["images"], accuracy["interval"]) == (24, "Wilson")
    runs = [one["metrics"]["val/accuracy"] for one in record["members"]]
    assert record["metrics"]["val/accuracy"]["mean"] == pytest.approx(np.mean(runs))
    assert record["metrics"]["val/accuracy"]["std"] == pytest.approx(np.std(runs, ddof=1))
    page = (folder / "crossval.md").read_text()
    assert "\naccuracy " in page
    assert "--data.fold all --trainer.max_epochs" in page
    assert (folder / "compare.html").is_file()


def test_stopped_and_given_again_it_goes_on(crossvalidated, tmp_path):
    whole, args = crossvalidated
    args = [*args, *SHORT, f"--run.root={tmp_path}"]
    stop = "--trainer.callbacks+=tests.callbacks_that_kill.RaiseAt"
    with pytest.raises(RuntimeError, match="stopped"):  # in the second epoch of the first fold
        crossvalidate(args, lambda given: main([*given, stop, "--trainer.callbacks.epoch=1"]))
    folder = tmp_path / "aoi" / "crossval_2"
    with pytest.raises(DataError, match="not all folds are trained; run crossval again"):
        main(["test", *crossvalidated[1], f"--ckpt_path={folder}"])

    def first_fold(given):
        if "--data.fold=1" in given:
            raise InterruptedError
        main(given)

    with pytest.raises(InterruptedError):
        crossvalidate(args, first_fold)
    scores = "fold-0_seed-42/validation_images.csv"
    assert (folder / scores).read_text() == (whole / scores).read_text(), "as uninterrupted"


def test_an_ensemble_is_the_mean_of_its_members(crossvalidated, tmp_path):
    folder, args = crossvalidated
    members = sorted(folder.glob("fold-*"))
    images = folder.parents[2] / "images" / "test_images"

    def predicted(ckpt_path, name):
        main(["predict", *args, f"--ckpt_path={ckpt_path}", f"--output={tmp_path / name}"])
        return {row.pop("ID"): row for row in read_table(tmp_path / name / "probabilities.csv")}

    def probabilities(results):
        return np.array([list(result.probabilities.values()) for result in results])

    single = [probabilities(load(m, device="cpu").predict(images)) for m in members]
    assert abs(single[0] - single[1]).max() > 1e-4
    results = list(load(folder, device="cpu").predict(images))
    np.testing.assert_allclose(probabilities(results), np.mean(single, axis=0), atol=1e-6)
    written = predicted(folder, "whole")
    for result in results:
        for name, value in result.probabilities.items():
            assert written[result.name][name] == f"{value:.6f}"
    assert predicted(f"[{','.join(str(member) for member in members)}]", "files") == written


def test_an_ensembles_scores_are_its_own(crossvalidated, caplog, tmp_path):
    folder, args = crossvalidated
    before = (folder / "fold-0_seed-42" / "run.json").read_text()
    main(["test", *args, f"--ckpt_path={folder}"])
    main(["validate", *args, f"--ckpt_path={folder}"])
    assert "this score flatters, others trained on its images" in caplog.text
    record = json.loads((folder / "run.json").read_text())
    assert [one["stage"] for one in record["evaluations"]] == ["test", "validate"]
    assert [len(one["members"]) for one in record["evaluations"]] == [2, 2]
    assert "an ensemble of 2" in (folder / "report.html").read_text()
    assert (folder / "fold-0_seed-42" / "run.json").read_text() == before
    files = f"[{folder / 'fold-0_seed-42'},{folder / 'fold-1_seed-42'}]"
    cli = main(["test", *args, f"--run.root={tmp_path}", f"--ckpt_path={files}"])
    own = json.loads((run_folder(cli.trainer) / "run.json").read_text())
    assert run_folder(cli.trainer).parent == tmp_path / "aoi"
    assert own["evaluations"][0]["metrics"] == record["evaluations"][0]["metrics"]


def test_a_training_continues_one_checkpoint(crossvalidated):
    folder, args = crossvalidated
    with pytest.raises(UsageError, match="fit continues one"):
        main(["fit", *args, f"--ckpt_path={folder}"])


def test_images_are_averaged_too(tmp_path):
    """Of retina; the scores by image are pooled to what the runs score."""
    callbacks = (
        "[{class_path: callbacks.BestCheckpoint, init_args: {monitor: val/psnr, mode: max}},"
        "{class_path: callbacks.RetinaWriter}]"
    )
    write_drive(tmp_path / "drive")
    args = [*config_args("retina", tmp_path), f"--data.data_dir={tmp_path / 'drive'}"]
    args += [f"--trainer.callbacks={callbacks}", "--data.size=32"]
    short = ["--folds=2", "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    folder = crossvalidate([*args, *short], main)
    record = json.loads((folder / "crossval.json").read_text())
    metrics = [one["metrics"]["val/psnr"] for one in record["members"]]
    tables = sorted(folder.glob("fold-*/validation_images.csv"))
    counts = [sum(1 for _ in path.open()) - 1 for path in tables]
    found = record["out_of_fold"]["psnr"]
    assert found["images"] == sum(counts) == 8
    assert found["value"] == pytest.approx(np.average(metrics, weights=counts), rel=1e-4)
    main(["predict", *args, f"--ckpt_path={folder}"])
    rows = read_table(folder / "predictions" / "drive" / "predictions.csv")
    found = load(folder, device="cpu").predict(tmp_path / "drive" / "test" / "images")
    assert [row["psnr"] for row in rows] == [f"{one.psnr:.4f}" for one in found]
