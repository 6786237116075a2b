"""Tiny data sets, written at test time in the layouts that users have."""

import csv
import gc
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

# Networks this small gain nothing from a second thread, and lose much where cores are busy.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
import yaml
from PIL import Image

from benchmarks import forked

ROOT = Path(__file__).parent.parent


def adam(params):
    """The simplest optimizer a config could name."""
    import torch  # not by the process that only hands out the tests

    return torch.optim.Adam(params, lr=0.001)


# Whose tests are long: begun first, so that no worker is left alone with one of them.
LONG = [
    "test_configs.py",
    "inference/test_export.py",
    "test_resume.py",
    "test_processes.py",
    "test_demo.py",
    "callbacks/test_run_recorder.py",
    "test_crossval.py",
    "callbacks/test_after_training.py",
]


def pytest_collection_modifyitems(items):
    order = {path: place for place, path in enumerate(LONG)}
    files = {item: item.path.relative_to(ROOT / "tests").as_posix() for item in items}
    items.sort(key=lambda item: order.get(files[item], len(LONG)))


def pytest_collection_finish():
    """Collect rarely: the imported modules' objects stay, and each look at them takes time."""
    import tiny_network  # noqa: F401  # known by its name from now on

    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch, tmp_path_factory, caplog):
    """No W&B, no download, and a cache of drawn samples that the whole test run shares."""
    caplog.set_level("INFO")
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # no test pulls the plug
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(base / "torch"))
    monkeypatch.setattr("sys.argv", ["cli.py"])


def write_aoi(folder: Path, images_per_class: int = 8, side: int = 32) -> Path:
    """Write the AIdea layout: six classes told apart by brightness, and a labelled test.csv."""
    rng = np.random.default_rng(0)
    for split, count in (("train", images_per_class), ("test", 2)):
        (folder / f"{split}_images").mkdir(parents=True)
        rows = []
        for index in range(6 * count):
            label = index % 6
            pixels = rng.normal(30 + 40 * label, 8, (side, side)).clip(0, 255).astype(np.uint8)
            name = f"{split}_{index:05d}.png"
            Image.fromarray(pixels).save(folder / f"{split}_images" / name)
            rows.append((name, label))
        with (folder / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("ID", "Label"), *rows])
    return folder


@pytest.fixture
def aoi_folder(tmp_path):
    return write_aoi(tmp_path / "images")


def as_processes(args: list[str], processes: int = 1) -> subprocess.CompletedProcess:
    """``cli.py`` in one process of its own or in two that work together.

    On Linux they are forked, which spares them the imports; ``stderr`` has all that is written.
    """
    two = ["--trainer.devices=2", "--trainer.strategy=ddp"] if processes == 2 else []
    if sys.platform != "linux":
        command = [sys.executable, "-m", "tests.tiny_network", *args, *two]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if two:
            done = forked.in_two(args, folder, timeout=120)
        else:
            done = forked.run(args, folder, timeout=120)
    return subprocess.CompletedProcess(args, done.status, "", done.output)


def stopped_fit(args: list[str], epoch: int, signal_name: str) -> subprocess.CompletedProcess:
    """``cli.py fit`` as a process that gets a signal within an epoch, see ``StopAt``."""
    stop = [
        "--trainer.callbacks+=tests.callbacks_that_kill.StopAt",
        f"--trainer.callbacks.epoch={epoch}",
        f"--trainer.callbacks.signal_name={signal_name}",
    ]
    return as_processes(["fit", *args, *stop])


# Smaller networks and images than the methods', so that a run takes seconds.
SMALL = {
    "aoi": [
        "--data.image_size=32",
        "--data.num_workers=0",
        "--model.network.weights=random",
        "--model.network.name=shufflenet_v2_x0_5",
    ],
    "vessels": ["--model.network.widths=[4,8]", "--data.inputs.size=64"],
    "vessels_best": [
        "--model.network.widths=[4,8]",
        "--data.inputs.diameter=96",
        "--data.augmentation.crop=32",
        "--data.crops_per_image=1",
        "--trainer.check_val_every_n_epoch=1",
    ],
    "retina": ["--model.network.widths=[4,8,8]", "--data.size=64"],
    "retina_best": [
        "--model.network.widths=[4,8,8]",
        "--data.size=64",
        "--data.augmentation.crop=32",
        "--data.crops_per_image=1",
    ],
    "blots": ["--data.size=16"],
}
NARROW = ["--model.generator.width=4", "--model.discriminator.width=4"]
SMALL |= {
    "aoi_best": SMALL["aoi"],
}
SMALL["blots_style"] = ["--data.size=32", *NARROW]
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))


_PLAIN = tempfile.TemporaryDirectory(prefix="configs-")


@cache
def _without_figures(config: str) -> Path:
    """The config but for its figures, which take a third of a small run."""
    settings = yaml.safe_load((ROOT / "configs" / f"{config}.yaml").read_text(encoding="utf-8"))
    callbacks = settings["trainer"]["callbacks"]
    kept = [one for one in callbacks if not one["class_path"].endswith("Figures")]
    settings["trainer"]["callbacks"] = kept
    path = Path(_PLAIN.name) / f"{config}.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def config_args(config: str, root: Path, *more: str, figures: bool = False) -> list[str]:
    """Arguments behind ``cli.py <subcommand>`` for a small, fast run of a config."""
    path = ROOT / "configs" / f"{config}.yaml" if figures else _without_figures(config)
    # Not in SMALL, which docs/check_commands.py gives to processes that know torchvision's alone.
    tiny = ["--model.network.name=tiny"] if config.startswith("aoi") else []
    return [
        f"--config={path}",
        f"--run.root={root}",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",  # the same on machines with bf16
        "--trainer.enable_progress_bar=false",
        *SMALL[config],
        *tiny,
        *more,
    ]


def aoi_args(folder: Path | None, root: Path, *more: str, figures: bool = False) -> list[str]:
    """`config_args` of aoi, on the images in ``folder`` or the built-in sample."""
    data = [] if folder is None else [f"--data.data_dir={folder}"]
    return config_args("aoi", root, *data, *more, figures=figures)


def crossvalidate(args: list[str], fit: Callable) -> Path:
    """``cli.py crossval`` whose trainings and validations are ``fit``'s; the folder it filled."""
    from commandline import verbs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cli.main", fit)
        return verbs.main(["crossval", *args])


def one_run(root: Path) -> Path:
    """The only run folder below ``root``."""
    (folder,) = root.glob("*/*/run.json")
    return folder.parent


@pytest.fixture(scope="session")
def one_epoch(tmp_path_factory):
    """Images, and the folder of the runs of one that has trained an epoch on them."""
    from cli import main

    root = tmp_path_factory.mktemp("one_epoch")
    images = write_aoi(root / "images")
    options = ["--trainer.max_epochs=1", "--data.seed=3", "--model.optimizer.lr=0.1"]
    options.append("--run.wandb=disabled")  # before `quiet_machine`
    main(["fit", *aoi_args(images, root / "runs", *options)])
    return images, root / "runs"


@pytest.fixture
def finished(one_epoch, tmp_path):
    """A copy of that run, and a function that makes arguments for more of its kind."""
    images, runs = one_epoch
    shutil.copytree(runs, tmp_path / "runs")

    def args(*more):
        return aoi_args(images, tmp_path / "runs", *more)

    return one_run(tmp_path / "runs"), args


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file by the names in its header."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def quiet_trainer(**options):
    """A Trainer of one epoch on the CPU; without options it writes and prints nothing."""
    from pytorch_lightning import Trainer

    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return Trainer(
        **{"accelerator": "cpu", "max_epochs": 1, **dict.fromkeys(quiet, False), **options}
    )


def files(folder: Path) -> dict[Path, bytes]:
    """All files below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_run(
    folder: Path,
    rows: list[dict],
    monitor: tuple[str, str],
    callbacks: Sequence[dict] = (),
    lr: float = 0.001,
    num_workers: int = 0,
    **record: object,
) -> Path:
    """A run folder as ``fit`` leaves it: ``run.json``, ``config.yaml`` and ``metrics.csv``."""
    folder.mkdir(parents=True)
    options = dict(zip(("monitor", "mode"), monitor, strict=True))
    best = {"class_path": "callbacks.BestCheckpoint", "init_args": options}
    config = {
        "model": {"class_path": "lit_models.DefectClassifier", "init_args": {"lr": lr}},
        "data": {"class_path": "AOIDataModule", "init_args": {"num_workers": num_workers}},
        "trainer": {"callbacks": [{"class_path": "callbacks.AOIFigures"}, best, *callbacks]},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    facts = {"task": "aoi", "data": "/data", "sample": False, "status": "finished"}
    (folder / "run.json").write_text(json.dumps({**facts, **record}))
    with (folder / "metrics.csv").open("w", newline="") as file:
        header = dict.fromkeys(["epoch", "step", *(name for row in rows for name in row)])
        writer = csv.DictWriter(file, list(header))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def few(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a folder of images, of which the first ones stay; with the folders beside it.

    More than a batch: 34 small ones, 2 large ones.
    """

    def copy(images: Path, small: bool) -> Path:
        copied = tmp_path / "few" / images.parent.name
        shutil.copytree(images.parent, copied)
        for path in sorted((copied / images.name).iterdir())[34 if small else 2 :]:
            path.unlink()
        return copied / images.name

    return copy


@pytest.fixture
def printed(monkeypatch, capsys):
    """The lines that a script prints when it runs in this process."""
    monkeypatch.chdir(ROOT)

    def run(script, *options):
        monkeypatch.setattr("sys.argv", [script, *options])
        with pytest.MonkeyPatch.context() as path:
            path.syspath_prepend(str(ROOT / "benchmarks"))
            exits: list[object] = [0]
            path.setattr("sys.exit", exits.append)
            runpy.run_path(script, run_name="__main__")
        assert not exits[-1]
        return capsys.readouterr().out.splitlines()

    return run


# What the fixture `trained` adds to `config_args`.
LIMITS = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--run.name=run"]
# Whose graphs are exported in seconds: few copies of the network.
QUICK = {
    "vessels_best": ["--model.inference.tta=4", "--model.inference.scales=[0.8]"],
}
_RUNS: dict[str, Path] = {}


@pytest.fixture
def trained(tmp_path_factory) -> Callable[[str], Path]:
    """The run folder of a config, trained for two steps on the sample at first use."""

    from cli import main  # not by the process that only hands out the tests

    def run(config: str) -> Path:
        if config not in _RUNS:
            root = tmp_path_factory.mktemp(config)
            main(["fit", *config_args(config, root, *LIMITS, *QUICK.get(config, []))])
            _RUNS[config] = one_run(root)
        return _RUNS[config]

    return run


@pytest.fixture
def predict() -> Callable[..., Path]:
    """``cli.py predict`` of a run: the folder it wrote."""

    from callbacks.run_recorder import run_folder
    from cli import main

    def run(folder: Path, *more: str) -> Path:
        config = folder.parent.name
        args = config_args(config, folder.parent.parent, *QUICK.get(config, []), *more)
        cli = main(["predict", *args, f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}"])
        return run_folder(cli.trainer)

    return run
