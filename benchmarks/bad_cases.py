"""Bad inputs to ``cli.py``, one for each kind; benchmarks/bad_inputs.py runs them.

A new kind is a function that yields cases, named in `KINDS`. Damaged files are in bad_files.py.
"""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import bad_files
from bad_files import Spoil, write_bytes

LAST = "--ckpt_path={run}/checkpoints/last.ckpt"
PREDICT = ("predict", LAST, "--data.predict_dir={data}/test_images")
RESUME = ("fit", LAST, "--trainer.max_epochs=3")


@dataclass(frozen=True)
class Case:
    """One bad command line.

    Args:
        config: whose small options come first; "" gives none.
        args: subcommand and further arguments; ``{here}`` is the case's folder, ``{data}`` a copy
            of the task's data in it, ``{run}`` and ``{other}`` copies of finished runs of the
            config and of vessels.
        spoil: changes files below ``{here}`` beforehand.
        about: what ``spoil`` does.
        fine: the input is good after all.
        env: environment variables.
        bare: without the small options, for subcommands that have none of them.
        nobody: as a user who owns nothing; needs Linux and root.
    """

    config: str
    args: tuple[str, ...]
    spoil: Spoil = field(default=write_bytes("file", b"text"), compare=False)
    about: str = ""
    fine: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False
    nobody: bool = False

    def __str__(self) -> str:
        env = "".join(f"{name}={value} " for name, value in self.env.items())
        about = f" ({self.about})" if self.about else ""
        return f"{self.config or '-'}: {env}{' '.join(self.args)}{about}"


# Values that `fit` must refuse, by config and option; quoted as in a shell.
VALUES: dict[str, dict[str, str]] = {
    "aoi": {
        "data.image_size": "0 abc 1.5 null nan 99999999 [32] true {}",
        "data.val_fraction": "0 1 -0.1 nan",
        "data.batch_size": "0 2.5 八 inf ''",
        "data.num_workers": "-1",
        "data.class_names": "[a,a,b,c,d,e] [] [a] [[a],[b]] '{a: 1}'",
        "data.augmentation": "torchvision.transforms.v2.Lambda Nope os.abort",
        "data.data_dir": "nowhere ''",
        "data": "datamodules.Nope lit_models.BlotGAN null datamodules",
        "model.optimizer.lr": "-1 nan 1e999 abc null true",
        "model.optimizer.betas": "[2,0.9] 3 [0.9] [a,b]",
        "model.optimizer": "torch.nn.Linear subprocess.Popen torch.optim.Optimizer torch.optim 3",
        "model.network.name": "resnet999 nms inception_v3 ''",
        "model.network.weights": "nofile.pth . /dev/null https://example.com/x.pth",
        "model.network": "torch.nn.Nope subprocess.Popen lit_models.networks.UNet torch.nn.Module",
        "model.loss": "builtins.eval torch.optim.Adam [1] torch.nn.CTCLoss torch.nn. true",
        "model.loss.reduction": "none",
        "model.inference": "3 []",
        "model.inference.temperature": "0 nan",
        "model.class_names": "[a,b]",
        "model": "lit_models.Nope torch.nn.Linear datamodules.AOIDataModule 3 '' modèle.Réseau",
        "trainer.max_epochs": "0 -2 1.5 '10 000'",
        "trainer.accelerator": "foo tpu",
        "trainer.devices": "0 foo 64 [0,0]",
        "trainer.strategy": "foo deepspeed_stage_9",
        "trainer.precision": "99",
        "trainer.limit_train_batches": "0 -1 1.5 nan",
        "trainer.gradient_clip_val": "-1 nan",
        "trainer.max_time": "abc '{days: x}'",
        "trainer.callbacks": "Nope torch.nn.Linear os.abort [3] "
        "'[{class_path: callbacks.BestCheckpoint, init_args: {monitor: val/nothing}}]'",
        "trainer.logger": "foo",
        "trainer": "3",
        "seed_everything": "abc -1 99999999999999999999",
        "run.task": ".. a/b",
        "run.name": f"a/b .. '' .hidden ' ' 'a\\b' 'a\nb' {'a' * 300}",
        "run.root": "'' {here}/file /proc/none",
        "run.wandb": "sometimes",
        "output": "x",
        "ckpt_path": "nofile.ckpt '' {here} last *.ckpt http://127.0.0.1:1/x.ckpt",
        "config": "nofile.yaml '' . {here}/file",
    },
    "aoi_best": {
        "data.augmentation.rotation": "181",
        "data.batch_size": "1",  # BatchNorm over one pixel
        "model.lr_scheduler": "torch.optim.lr_scheduler.StepLR torch.optim.Adam",
        "model.lr_scheduler.pct_start": "2",
    },
    "vessels": {
        "data.val_size": "0 8 1.5",
        "data.inputs.channels": "blue",
        "model.network.widths": "[] [4,-8] abc [1.5] null",
        "model.network.in_channels": "3",
        "model.network": "torch.nn.Identity torch.nn.Linear",
        "model.inference.threshold": "2 nan null",
        "model.inference.scales": "[] [0] [nan]",
        "model.lr_scheduler.mode": "sideways",
    },
    "vessels_best": {
        "data.augmentation.zoom": "[2,1] [1]",
        "data.augmentation.crop": "0 99999",
        "trainer.callbacks.decay": "1 nan",
    },
    "retina": {"model.network.in_channels": "4", "model.network.skips": "sometimes"},
    "blots": {
        "data.size": "0 15",
        "data.folds": "1 99",
        "data.target": "nowhere/ ../",
        "model.generator": "torch.nn.Identity",
        "model.adversarial_loss": "torch.nn.MSELoss",
        "trainer.accumulate_grad_batches": "2",
    },
    "blots_style": {
        "data": "datamodules.BlotDataModule",
        "data.samples": "0",
        "data.style.paper": "-1 nan",
        "model.generator.levels": "0",
    },
}

# Options of `fit` that do not exist, or lack their value.
MISSPELLED: dict[str, str] = {
    "aoi": "--data.imagesize=3 --model.optimzer.lr=3 --model.optimizer.learning_rate=3 --epochs=3 "
    "--trainer.max_epoch=3 --trainer.callbacks.foo=3 --run.nme=x --modl.loss=x -x word -- --config",
    "vessels": "--data.inputs.chanels=gray --data.size=64",
    "blots": "--data.foldz=2 --model.lr=0.1",
}

# Lines behind the small options of aoi.
EVALUATION = (
    "validate",
    f"validate {LAST} --model.inference.tta=often",
    f"validate {LAST} --trainer.limit_val_batches=0",
    f"validate {LAST} --data.data_dir={{run}}",
    f"validate {LAST} word",
    "validate --ckpt_path=[1,2]",
    f"test {LAST} --data.imagesize=3",
    "test --ckpt_path={here}/file",
    "test --ckpt_path=[{run}/checkpoints/last.ckpt,{other}/checkpoints/last.ckpt]",
    "test --ckpt_path=last --run.name=nothing",
    f"predict {LAST} --data.predict_dir=nowhere",
    f"predict {LAST} --data.predict_dir=http://127.0.0.1:1/x",
    f"predict {LAST} --trainer.callbacks=[callbacks.BlotWriter]",
    f"predict {LAST} --output={{here}}/file",
    f"predict {LAST} --output={{run}}",
    f"predict {LAST} --output=/proc/none/x",
    f"fit {LAST}",  # has trained its epochs
    "crossval --folds=1",
    "crossval --folds",
    "crossval --data.fold=1",
    "crossval --ckpt_path=last",
    "crossval --run.name=a/b",
    "crossval --data.data_dir=nowhere",
)

# Complete command lines; {run} is a run of aoi.
LINES = (
    *("fitt", "--foo", "--config=x fit", "fit", "crossval", "fit --model=lit_models.BlotGAN"),
    "export",
    "export --ckpt_path=/dev/null",
    "export --ckpt_path=best",
    "export --ckpt_path={run} --output={here}/file",
    "export --ckpt_path={run} --format=tflite",
    "export {here}/file",
    "demo --port=99999",
    "demo --ckpt_path={run} --host=nowhere.invalid",
    "demo --hots=0.0.0.0",
    *("compare", "compare nowhere", "compare {here}"),
    "compare {run} --output={here}/file/x.html",
)

# Environment variables with which `fit` works.
ENVIRONMENTS = (
    {"HOME": "/proc/none", "MPLCONFIGDIR": "/proc/none", "TMPDIR": "/proc/none"},
    {"XDG_CACHE_HOME": "/dev/null", "TORCH_HOME": "/dev/null"},
    {"WANDB_MODE": "junk", "MPLBACKEND": "junk", "OMP_NUM_THREADS": "junk", "COLUMNS": "abc"},
    {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TERM": ""},
    {"SLURM_JOB_ID": "3", "CUDA_VISIBLE_DEVICES": "junk"},
    {"PYTHONWARNINGS": "error", "https_proxy": "junk"},
)


def options() -> Iterator[Case]:
    """Values that options cannot have, and options that do not exist."""
    for config, table in VALUES.items():
        for option, values in table.items():
            for value in shlex.split(values):
                yield Case(config, ("fit", f"--{option}={value}"))
    for config, words in MISSPELLED.items():
        for word in words.split():
            yield Case(config, ("fit", word))


def subcommands() -> Iterator[Case]:
    """Command lines of all subcommands."""
    for line in EVALUATION:
        yield Case("aoi", tuple(line.split()))
    for line in LINES:
        yield Case("aoi", tuple(line.split()), bare=True)


def configs() -> Iterator[Case]:
    """YAML files."""
    for about, text in bad_files.CONFIGS.items():
        yield Case("aoi", ("fit", "--config={here}/c.yaml"), write_bytes("c.yaml", text), about)


def checkpoints() -> Iterator[Case]:
    """Checkpoints, resumed and evaluated."""
    for about, spoil in bad_files.CHECKPOINTS.items():
        yield Case("aoi", ("predict", "--ckpt_path={here}/bad.ckpt"), spoil, about)
        yield Case("vessels", ("test", "--ckpt_path={here}/bad.ckpt"), spoil, about)
    for about, spoil in (bad_files.CHECKPOINTS | bad_files.RESUMED).items():
        args = ("fit", "--ckpt_path={here}/bad.ckpt", "--trainer.max_epochs=9")
        yield Case("aoi", args, spoil, about)
    for stage in ("test", "fit"):  # of another task
        yield Case("retina", (stage, "--ckpt_path={other}/checkpoints/last.ckpt"))


def images() -> Iterator[Case]:
    """Images of each task to train with, and to predict."""
    for about, change in bad_files.IMAGES.items():
        fine = about in bad_files.FINE_IMAGES
        for config, pattern in (
            ("aoi", "data/train_images/*"),
            ("vessels", "data/training/1st_manual/*"),
            ("retina", "data/training/images/*"),
            ("blots", "data/wb_template2/*"),
        ):
            if not (fine and config == "vessels"):  # a photograph's pixels are no mask
                yield Case(config, ("fit",), bad_files.one(pattern, change), about, fine)
        if about not in ("gone", "a folder"):
            spoil = bad_files.one("data/test_images/*", change)
            yield Case("aoi", PREDICT, spoil, about, fine)


def tables() -> Iterator[Case]:
    """``train.csv``."""
    for about, content in bad_files.TABLES.items():
        fine = about in bad_files.FINE_TABLES
        yield Case("aoi", ("fit",), write_bytes("data/train.csv", content), about, fine)


def folders() -> Iterator[Case]:
    """Layouts of data, folders to predict, and what a run left."""
    for config, layouts in bad_files.LAYOUTS.items():
        for about, spoil in layouts.items():
            yield Case(config, ("fit",), spoil, about)
    for about, spoil in bad_files.PREDICT_DIRS.items():
        yield Case("vessels", ("predict", LAST, "--data.predict_dir={here}/x"), spoil, about)
    for about, content in bad_files.RECORDS.items():
        spoil = write_bytes("run/run.json", content)
        yield Case("aoi", ("compare", "{run}"), spoil, about, bare=True)
        yield Case("aoi", RESUME, spoil, about, fine=True)
    yield Case("aoi", RESUME, write_bytes("run/metrics.csv", b"epoch,step\n1,2,3\n"), "metrics.csv")


def permissions() -> Iterator[Case]:
    """What a user who owns nothing must not read or write."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        for line, closed in bad_files.PERMISSIONS:
            spoil, about = bad_files.mode(*closed), "{} has mode {:o}".format(*closed)
            args = tuple(line.format(last=LAST, here="{here}", data="{data}").split())
            yield Case("aoi", args, spoil, about, nobody=True)


def environments() -> Iterator[Case]:
    """Good inputs: variables of the environment, and options that may be null."""
    for env in ENVIRONMENTS:
        yield Case("aoi", ("fit",), env=env, fine=True)
    yield Case("aoi", ("fit", "--data.augmentation=null"), fine=True)


KINDS: dict[str, Callable[[], Iterator[Case]]] = {
    "option": options,
    "subcommand": subcommands,
    "config": configs,
    "checkpoint": checkpoints,
    "image": images,
    "table": tables,
    "folder": folders,
    "permissions": permissions,
    "environment": environments,
}
