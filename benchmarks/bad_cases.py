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
        "data.image_size": "0 abc 1.5 null nan 99999999 [32] {}",
        "data.batch_size": "八 ''",
        "data.class_names": "[a,a,b,c,d,e] [] [[a],[b]]",
        "data.augmentation": "torchvision.transforms.v2.Lambda Nope os.abort",
        "data.data_dir": "nowhere ''",
        "data": "datamodules.Nope lit_models.BlotGAN null",
        "model.optimizer.lr": "-1 nan 1e999 null true",
        "model.optimizer.betas": "[2,0.9] [a,b]",
        "model.optimizer": "torch.nn.Linear subprocess.Popen torch.optim.Optimizer torch.optim",
        "model.network.name": "resnet999 inception_v3 ''",
        "model.network.weights": "nofile.pth /dev/null https://example.com/x.pth",
        "model.network": "torch.nn.Nope lit_models.networks.UNet torch.nn.Module",
        "model.loss": "builtins.eval torch.nn. true null",
        "model.inference.temperature": "0 nan",
        "model.class_names": "[a,b]",
        "model": "torch.nn.Linear datamodules.AOIDataModule 3 '' modèle.Réseau",
        "trainer.max_epochs": "0 -2 '10 000'",
        "trainer.devices": "0 foo 64 [0,0]",
        "trainer.limit_train_batches": "0 -1 nan",
        "trainer.max_time": "abc '{days: x}'",
        "trainer.callbacks": "torch.nn.Linear os.abort [3]",
        "trainer": "3",
        "seed_everything": "abc 99999999999999999999",
        "run.name": f"a/b .hidden ' ' 'a\\b' 'a\nb' {'a' * 300}",
        "run.root": "'' {here}/file /proc/none",
        "ckpt_path": "nofile.ckpt {here} last *.ckpt http://127.0.0.1:1/x.ckpt",
        "config": "nofile.yaml '' . {here}/file",
    },
    "aoi_best": {
        "model.lr_scheduler": "torch.optim.lr_scheduler.StepLR torch.optim.Adam",
        "model.lr_scheduler.pct_start": "2",
    },
    "vessels": {
        "data.inputs.channels": "blue",
        "model.network.widths": "[] [4,-8] abc null",
        "model.network": "torch.nn.Identity",
        "model.inference.scales": "[] [0]",
    },
    "vessels_best": {
        "data.augmentation.zoom": "[2,1]",
        "data.augmentation.crop": "99999",
        "trainer.callbacks.decay": "1",
    },
    "blots": {
        "data.size": "15",
        "data.template_count": "0",
        "model.generator": "torch.nn.Identity",
        "model.adversarial_loss": "torch.nn.MSELoss",
        "trainer.accumulate_grad_batches": "2",
    },
    "blots_style": {"data": "datamodules.BlotDataModule", "data.style.paper": "-1"},
}

# Options of `fit` that do not exist, or lack their value.
MISSPELLED: dict[str, str] = {
    "aoi": "--data.imagesize=3 --model.optimzer.lr=3 --epochs=3 --trainer.callbacks.foo=3 "
    "--modl.loss=x -x word -- --config",
    "vessels": "--data.inputs.chanels=gray",
}

# Lines behind the small options of aoi.
EVALUATION = (
    "validate",
    f"validate {LAST} --trainer.limit_val_batches=0",
    f"validate {LAST} --data.data_dir={{run}}",
    "test --ckpt_path={here}/file",
    "test --ckpt_path=[{run}/checkpoints/last.ckpt,{other}/checkpoints/last.ckpt]",
    f"predict {LAST} --data.predict_dir=nowhere",
    f"predict {LAST} --output={{run}}",
    f"fit {LAST}",  # has trained its epochs
    "crossval --data.fold=1",
    "crossval --data.data_dir=nowhere",
)

# Complete command lines; {run} is a run of aoi.
LINES = (
    *("fitt", "--foo", "--config=x fit", "fit", "crossval", "fit --model=lit_models.BlotGAN"),
    "export",
    "export --ckpt_path=best",
    "export --ckpt_path={run} --output={here}/file",
    "demo --port=99999",
    "demo --ckpt_path={run} --host=nowhere.invalid",
    *("compare", "compare nowhere", "compare {here}"),
)

# Environment variables with which `fit` works.
ENVIRONMENTS = (
    {"HOME": "/proc/none", "MPLCONFIGDIR": "/proc/none", "XDG_CACHE_HOME": "/dev/null"},
    {"WANDB_MODE": "junk", "MPLBACKEND": "junk", "OMP_NUM_THREADS": "junk", "COLUMNS": "abc"},
    {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONWARNINGS": "error"},
    {"SLURM_JOB_ID": "3", "CUDA_VISIBLE_DEVICES": "junk", "https_proxy": "junk"},
)


def options() -> Iterator[Case]:
    """Values that options cannot have, options that do not exist, and command lines."""
    for config, table in VALUES.items():
        for option, values in table.items():
            yield from (Case(config, ("fit", f"--{option}={v}")) for v in shlex.split(values))
    for config, words in MISSPELLED.items():
        yield from (Case(config, ("fit", word)) for word in words.split())
    yield from (Case("aoi", tuple(line.split())) for line in EVALUATION)
    yield from (Case("aoi", tuple(line.split()), bare=True) for line in LINES)


def files() -> Iterator[Case]:
    """Configs, and checkpoints that are evaluated and resumed."""
    for about, text in bad_files.CONFIGS.items():
        yield Case("aoi", ("fit", "--config={here}/c.yaml"), write_bytes("c.yaml", text), about)
    bad = "--ckpt_path={here}/bad.ckpt"
    for about, spoil in bad_files.CHECKPOINTS.items():
        yield Case("aoi", ("predict", bad), spoil, about)
    for about, spoil in (bad_files.CHECKPOINTS | bad_files.RESUMED).items():
        yield Case("aoi", ("fit", bad, "--trainer.max_epochs=9"), spoil, about)
    for stage in ("test", "fit"):  # of another task
        yield Case("retina", (stage, "--ckpt_path={other}/checkpoints/last.ckpt"))


def images() -> Iterator[Case]:
    """Images of each task to train with, and to predict."""
    for about, change in bad_files.IMAGES.items():
        fine = about in bad_files.FINE_IMAGES
        for config, pattern in bad_files.TRAINED_ON.items():
            if not (fine and config == "vessels"):  # a photograph's pixels are no mask
                yield Case(config, ("fit",), bad_files.one(pattern, change), about, fine)
        if about not in ("gone", "a folder"):
            spoil = bad_files.one("data/test_images/*", change)
            yield Case("aoi", PREDICT, spoil, about, fine)


def data() -> Iterator[Case]:
    """Tables, layouts, folders to predict, and what a run left."""
    for about, content in bad_files.TABLES.items():
        fine = about in bad_files.FINE_TABLES
        yield Case("aoi", ("fit",), write_bytes("data/train.csv", content), about, fine)
    for config, layouts in bad_files.LAYOUTS.items():
        yield from (Case(config, ("fit",), spoil, about) for about, spoil in layouts.items())
    for about, spoil in bad_files.PREDICT_DIRS.items():
        yield Case("vessels", ("predict", LAST, "--data.predict_dir={here}/x"), spoil, about)
    for about, content in bad_files.RECORDS.items():
        spoil = write_bytes("run/run.json", content)
        yield Case("aoi", ("compare", "{run}"), spoil, about, bare=True)
        yield Case("aoi", RESUME, spoil, about)


def machine() -> Iterator[Case]:
    """What a user who owns nothing must not touch; and good inputs in strange environments."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        for line, closed in bad_files.PERMISSIONS:
            spoil, about = bad_files.mode(*closed), "{} has mode {:o}".format(*closed)
            args = tuple(line.format(last=LAST, here="{here}", data="{data}").split())
            yield Case("aoi", args, spoil, about, nobody=True)
    yield from (Case("aoi", ("fit",), env=env, fine=True) for env in ENVIRONMENTS)


KINDS: dict[str, Callable[[], Iterator[Case]]] = {
    "option": options,
    "file": files,
    "image": images,
    "data": data,
    "machine": machine,
}
