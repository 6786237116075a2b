"""Whatever is wrong with the input, a person sees one line; benchmarks/bad_inputs.py has more."""

import json

import pytest
from conftest import ROOT, aoi_args, as_processes, config_args, one_run, stopped_fit

from benchmarks import tiny_data
from cli import main
from commandline import verbs
from common.errors import DataError, UsageError

BILLION_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join(9 * [f'*a{i - 1}'])}]\n" for i in range(1, 11)
)


def line_of(*args, error=DataError):
    with pytest.raises(error) as caught:
        main(list(args))
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--data.imagesize=3", "data.imagesize: unknown; did you mean data.image_size?"),
        ("--data.val_fraction=nan", "data.val_fraction: must be >0 and <1, not nan"),
        ("--model.optimizer.lr=-1", "model.optimizer.lr: must be >= 0, not -1"),
        ("--data.batch_size=99999999999999999999", "data.batch_size: must be >=1 and <=65536"),
        ("--model.loss.label_smoothing=2", "label_smoothing: must be from 0 to 1, not 2"),
        (
            "--model.network=subprocess.Popen",
            "model.network: Importing 'subprocess.Popen' is not allowed",
        ),
        ("--trainer.max_epochs=0", "trainer.max_epochs: must not be 0"),
        ("--trainer.limit_test_batches=0", "trainer.limit_test_batches: must not be 0"),
        ("--trainer.accelerator=foo", "trainer: You selected an invalid accelerator"),
        ("--trainer.devices=99999", "trainer.devices: must be from -1 to "),
        ("--seed_everything=-1", "seed_everything: must be from 0 to "),
        ("--model.class_names=[a]", "give data.class_names"),
        ("--model.inference=3", "model.inference: must be a group of options"),
        ("--model.inference=[]", "model.inference: must be a group of options, not []"),
        ("--model.loss=null", "model.loss: must be a subclass of Module, not null"),
        ("--model.network=torch.nn.Module", "Module.__init__() "),
        ("--lr=1", "lr: unknown; did you mean model.optimizer.lr?"),
        ("--epochs=1", "epochs: unknown; did you mean trainer.max_epochs?"),
        ("--model=lit_models.VesselSegmentor", "did you mean lit_models.VesselSegmenter?"),
        ("--model.optimizer=torch.optim.Adamm", "did you mean torch.optim.Adam?"),
        ("--model.network=lit_models.networks.UNett", "did you mean lit_models.networks.UNet?"),
        ("--model.network.init_args.nam=x", "did you mean model.network.name?"),
        ("--model.networkk.name=x", "did you mean model.network.name?"),
        ("--trainer.callbacks+=callbacks.WeightAvrage", "mean callbacks.WeightAverage?"),
        ("--output=x", "output: unknown"),
    ],
)
def test_bad_option(aoi_folder, tmp_path, option, line):
    args = aoi_args(aoi_folder, tmp_path / "runs", option)
    assert line in line_of("fit", *args, error=UsageError)
    assert not list(tmp_path.glob("runs/*/*")), "nothing half-written"


@pytest.mark.parametrize(
    ("config", "options", "line"),
    [
        ("vessels", ["--data.inputs.channels=rgb"], "expected input[2, 3, 64, 64] to have 1"),
        ("blots", ["--data.size=20"], "outputs 1 x 16 x 16, target is 1 x 20 x 20, for 2 images"),
        ("vessels", ["--model.lr_scheduler.factor=2"], "model.lr_scheduler: Factor should be <"),
        ("blots", ["--trainer.gradient_clip_val=1"], "gradient clipping is not supported"),
    ],
)
def test_options_that_contradict_each_other(config, options, line, data, tmp_path):
    folder = f"--data.data_dir={tiny_data.data_of(config, data)}"
    args = config_args(config, tmp_path / "runs", "--trainer.max_epochs=1", folder, *options)
    assert line in line_of("fit", *args)
    assert not list(tmp_path.glob("runs/*/*")), "nothing half-written"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("data:\n  init_args: {seed: 1}\ndata: {}\n", "line 3: data is there twice"),
        ("trainer: [1, 2]\n", "trainer: must be a group of options, not [1, 2]"),
    ],
)
def test_a_config_that_nobody_means(aoi_folder, tmp_path, text, line):
    (tmp_path / "c.yaml").write_text(text)
    args = aoi_args(aoi_folder, tmp_path / "runs", f"--config={tmp_path / 'c.yaml'}")
    assert line in line_of("fit", *args, error=UsageError)


@pytest.mark.parametrize("verb", ["fit", "crossval", "compare"])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: " + 9999 * "[", "nested too deeply"),
        ("run: &a {task: aoi, config: *a}", "nested too deeply"),
        (BILLION_LAUGHS, "more than 10000 values"),
    ],
)
def test_a_config_that_would_fill_the_memory(tmp_path, caplog, verb, text, line):
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "run.json").write_text('{"task": "aoi"}')
    given = tmp_path if verb == "compare" else f"--config={tmp_path / 'config.yaml'}"
    with pytest.raises(DataError) as caught:
        verbs.main([verb, str(given)])
    assert line in f"{caught.value} {caplog.text}"


def test_a_corrupt_image_with_workers_and_in_two_processes(aoi_folder, tmp_path):
    """One line each: not with a worker's traceback around it, nor gloo's."""
    for path in (aoi_folder / "train_images").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    args = aoi_args(aoi_folder, tmp_path / "runs")
    assert "not a readable image" in line_of("fit", *args, "--data.num_workers=2")
    done = as_processes(["fit", *args], processes=2)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert 1 <= len(lines) <= 2
    assert any("not a readable image" in line for line in lines)


def test_sigterm_saves_as_ctrl_c_does(aoi_folder, tmp_path):
    args = aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=9", "--data.batch_size=8")
    done = stopped_fit(args, 1, "SIGTERM")
    assert done.returncode == 143
    assert "Traceback" not in done.stderr
    assert "Received SIGTERM" not in done.stderr
    assert done.stderr.splitlines()[-1] == "stopped by SIGTERM"
    folder = one_run(tmp_path)
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert (folder / "checkpoints/last.ckpt").exists()
    assert "<strong>Interrupted</strong>" in (folder / "report.html").read_text()


def test_help_has_a_first_page_and_all_options_of_model_and_data(capsys):
    for more in ([], ["all"]):
        with pytest.raises(SystemExit) as stopped:
            main(["fit", "--help", *more, f"--config={ROOT}/configs/vessels_best.yaml"])
        assert not stopped.value.code
    page, told = capsys.readouterr().out.split("--help all shows all there are.\n")
    assert len(page.splitlines()) < 40
    common = ["--model.optimizer.lr", "--data.data_dir", "--trainer.max_epochs"]
    assert all(option in page for option in [*common, "[8, 16, 32"])
    rare = ["--trainer.benchmark", "--data.augmentation.zoom", "--model.loss ", "[8, 16, 32"]
    assert all(option in told for option in [*common, *rare])
