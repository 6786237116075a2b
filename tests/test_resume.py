"""Stopped and resumed equals uninterrupted, bit for bit; and nothing of a run is lost."""

import json

import pytest
import torch
from conftest import aoi_args, config_args, files, one_run, read_table, stopped_fit, write_aoi

from benchmarks import tiny_data
from cli import main
from common.errors import DataError


def checkpoint(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Images, arguments for a training of two epochs on them, and a run that nobody stopped."""
    root = tmp_path_factory.mktemp("whole")
    images = write_aoi(root / "images")
    args = ["--trainer.max_epochs=2", "--data.batch_size=16", "--run.wandb=disabled"]
    args.append("--trainer.log_every_n_steps=1")
    main(["fit", *aoi_args(images, root / "runs", *args)])
    return images, args, one_run(root / "runs")


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGKILL"])
def test_interrupted_and_resumed_equals_uninterrupted(whole, tmp_path, signal_name):
    images, args, uninterrupted = whole
    stopped = stopped_fit(aoi_args(images, tmp_path / "cut", *args), 1, signal_name)
    assert stopped.returncode != 0, stopped.stderr
    cut = one_run(tmp_path / "cut")
    assert max(int(row["epoch"]) for row in read_table(cut / "metrics.csv") if row["epoch"]) <= 1
    if signal_name == "SIGINT":
        assert json.loads((cut / "run.json").read_text())["status"] == "interrupted"

    main(["fit", *aoi_args(images, tmp_path / "cut", *args, "--ckpt_path=last")])

    assert one_run(tmp_path / "cut") == cut, "the resumed run goes on in its folder"
    assert json.loads((cut / "run.json").read_text())["status"] == "finished"
    states = [checkpoint(folder)["state_dict"] for folder in (uninterrupted, cut)]
    torch.testing.assert_close(*states, rtol=0, atol=0)
    assert read_table(cut / "metrics.csv") == read_table(uninterrupted / "metrics.csv")


@pytest.mark.parametrize("config", ["blots_style", "vessels_best"])
def test_all_that_has_a_state_comes_back(config, tmp_path):
    """Schedules, averaged weights and those being trained, noise, augmentation, spectral norm."""
    tiny_data.write_all(tmp_path / "data")
    short = [
        f"--data.data_dir={tiny_data.data_of(config, tmp_path / 'data')}",
        *tiny_data.SMALL[config],
        "--trainer.max_epochs=2",
        "--trainer.limit_train_batches=2",
        "--trainer.limit_val_batches=1",
    ]

    def args(name, *more):
        return config_args(config, tmp_path / name, *short, *more)

    main(["fit", *args("whole")])
    stopped = stopped_fit(args("cut"), 1, "SIGKILL")
    assert stopped.returncode == -9, stopped.stderr
    main(["fit", *args("cut", "--ckpt_path=last")])
    folders = [one_run(tmp_path / name) for name in ("whole", "cut")]
    whole, cut = map(checkpoint, folders)
    for part in ("state_dict", "current_model_state", "optimizer_states"):
        torch.testing.assert_close(whole[part], cut[part], rtol=0, atol=0)
    assert whole["lr_schedulers"] == cut["lr_schedulers"]
    trained, averaged = whole["current_model_state"], whole["state_dict"]
    moved = {name for name, value in trained.items() if not torch.equal(value, averaged[name])}
    assert moved
    if config.startswith("blots"):
        assert all(name.startswith("generator.") for name in moved), "D is not averaged"
        assert whole["global_step"] == 8, "two updates a batch"
    tables = [read_table(folder / "metrics.csv") for folder in folders]
    assert tables[0] == tables[1]


def test_second_run_leaves_the_first_alone(finished):
    first, args = finished
    before = files(first)
    main(["fit", *args("--trainer.max_epochs=1")])
    assert len(list(first.parent.iterdir())) == 2
    assert files(first) == before


def test_taken_name_and_missing_checkpoints_are_one_clear_error(aoi_folder, tmp_path):
    args = aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=1", "--run.name=mine")
    with pytest.raises(DataError, match=r"no run with a checkpoint; train first"):
        main(["fit", *args, "--ckpt_path=last"])
    with pytest.raises(DataError, match="test needs --ckpt_path"):
        main(["test", *args])
    with pytest.raises(DataError, match=r"gone\.ckpt: no such run or checkpoint"):
        main(["test", *args, "--ckpt_path=gone.ckpt"])
    (tmp_path / "aoi" / "mine").mkdir(parents=True)
    with pytest.raises(DataError, match="mine: a run of this name exists"):
        main(["fit", *args])


def test_checkpoint_overrides_the_command_line_and_says_so(finished, caplog):
    folder, args = finished
    changed = ["--model.optimizer.lr=0.5", "--data.image_size=48", f"--ckpt_path={folder}"]
    cli = main(["fit", *args("--trainer.max_epochs=2", *changed)])
    assert cli.trainer.optimizers[0].param_groups[0]["lr"] == 0.1
    assert "model.optimizer.lr is the checkpoint's 0.1, not 0.5" in caplog.text
    assert "data.image_size is the checkpoint's 32, not 48" in caplog.text
    assert cli.datamodule.image_size == 32


def test_preprocessing_is_the_checkpoints_and_inference_may_be_set(finished, caplog):
    folder, run_args = finished
    other = ["--data.image_size=64", "--data.seed=0", "--data.batch_size=5"]
    names = "--data.class_names=[a,b,c,d,e]"
    args = run_args(*other, names, "--model.inference.tta=true")
    cli = main(["validate", *args, f"--ckpt_path={folder}"])
    data = cli.datamodule
    assert (data.image_size, data.seed, data.batch_size) == (32, 3, 5)
    assert data.class_names[0] == cli.model.hparams["class_names"][0] == "class 0"
    assert cli.model.inference.tta
    for text in ("data.image_size is the checkpoint's 32", "data.seed is the checkpoint's 3"):
        assert text in caplog.text
    assert "batch_size is" not in caplog.text


def test_a_run_killed_in_its_report_is_finished_by_resuming(finished):
    folder, args = finished
    weights, rows = checkpoint(folder)["state_dict"], read_table(folder / "metrics.csv")
    (folder / "report.html").unlink()
    (folder / ".half-report-x.html").write_text("<html>")
    again = args("--trainer.max_epochs=1", "--ckpt_path=last")
    main(["fit", *again])
    assert (folder / "report.html").exists()
    assert not list(folder.rglob(".half-*"))
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    torch.testing.assert_close(checkpoint(folder)["state_dict"], weights, rtol=0, atol=0)
    assert read_table(folder / "metrics.csv") == rows
    before = files(folder)
    with pytest.raises(DataError, match=r"raise trainer\.max_epochs"):
        main(["fit", *again])
    assert files(folder) == before


def test_the_config_of_a_resumed_run_starts_a_new_one(finished):
    folder, args = finished
    main(["fit", *args("--trainer.max_epochs=2", "--ckpt_path=last")])
    main(["fit", f"--config={folder / 'config.yaml'}", "--trainer.max_epochs=1"])
    assert len(list(folder.parent.iterdir())) == 2


def test_a_requeued_slurm_job_continues_its_own_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes(b"another job's")
    for name, value in {"JOB_ID": "77", "NTASKS": "1", "JOB_NAME": "t", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    args = ["fit", *config_args("blots", tmp_path / "runs", "--run.name=mine")]
    stop = ["--trainer.callbacks+=tests.callbacks_that_kill.RaiseAt", "--trainer.callbacks.epoch=2"]
    with pytest.raises(RuntimeError, match="stopped"):
        main([*args, "--trainer.max_epochs=3", *stop])
    main_args = [*args, "--trainer.max_epochs=3"]
    with pytest.raises(DataError, match="a run of this name exists"):
        main(main_args)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    folder = one_run(tmp_path / "runs")
    main(main_args)
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["checkpoint"].endswith("last.ckpt")


def test_auto_begins_and_then_continues(tmp_path):
    args = ["fit", *config_args("blots", tmp_path, "--ckpt_path=auto")]
    main([*args, "--trainer.max_epochs=1"])
    main([*args, "--trainer.max_epochs=2"])
    assert json.loads((one_run(tmp_path) / "run.json").read_text())["checkpoint"]
