"""Several hundred bad inputs to ``cli.py``, as tables; see benchmarks/bad_inputs.py."""

import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

Spoil = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """One bad command line.

    Args:
        kind: what is bad about it.
        config: whose small options come first; "" gives none.
        args: subcommand and further arguments; ``{here}`` is the case's folder, ``{data}`` a copy
            of the task's data in it, ``{run}`` a copy of a finished run of the config.
        spoil: changes files below ``{here}`` beforehand.
        fine: the input is good after all.
    """

    kind: str
    config: str
    args: tuple[str, ...]
    spoil: Spoil | None = field(default=None, compare=False)
    fine: bool = False

    @property
    def name(self) -> str:
        """The case in a line."""
        spoiled = "" if self.spoil is None else f" ({self.spoil.__doc__})"
        return f"{self.config or '-'}: {' '.join(self.args)}{spoiled}"


# Option: values that `fit` must refuse.
VALUES: dict[str, dict[str, list[str]]] = {
    "aoi": {
        "data.image_size": ["0", "-1", "abc", "1.5", "null", "nan", "99999999", "[32]"],
        "data.val_fraction": ["0", "1", "-0.1", "1.5", "nan", "abc", "null"],
        "data.batch_size": ["0", "-4", "2.5", "x"],
        "data.num_workers": ["-1", "many"],
        "data.seed": ["-1", "abc", "4294967296"],
        "data.class_names": ["[a,a,b,c,d,e]", "[]", "abc", "[a]", "[a,b,c,d,e,f,g]"],
        "data.cache_features": ["maybe", "7"],
        "data.augmentation": ["torchvision.transforms.v2.Lambda", "Nope", "os.abort"],
        "data.data_dir": ["nowhere", "''"],
        "model.optimizer.lr": ["-1", "nan", "inf", "abc", "null"],
        "model.optimizer.betas": ["[2,0.9]", "3", "[0.9]"],
        "model.optimizer.eps": ["-1"],
        "model.optimizer": ["torch.nn.Linear", "subprocess.Popen", "torch.optim.Nope", "3"],
        "model.network.name": ["resnet999", "''", "3"],
        "model.network.weights": ["nofile.pth", "IMAGENET1K_V9", "."],
        "model.network.frozen": ["perhaps"],
        "model.network": ["torch.nn.Nope", "subprocess.Popen", "lit_models.networks.UNet", "3"],
        "model.loss": ["torch.nn.Nope", "builtins.eval", "torch.optim.Adam", "[1]"],
        "model.loss.label_smoothing": ["abc", "2", "-1"],
        "model.inference.tta": ["often"],
        "model.class_names": ["[a,b]"],
        "model": ["lit_models.Nope", "torch.nn.Linear", "datamodules.AOIDataModule", "3"],
        "data": ["datamodules.Nope", "lit_models.BlotGAN", "null", "datamodules.BlotDataModule"],
        "trainer.max_epochs": ["0", "-2", "1.5", "abc"],
        "trainer.max_steps": ["0", "-5"],
        "trainer.accelerator": ["foo", "null", "tpu"],
        "trainer.devices": ["0", "-5", "null", "foo", "64"],
        "trainer.strategy": ["foo", "3"],
        "trainer.precision": ["99", "fp3"],
        "trainer.limit_train_batches": ["0", "-1", "abc", "1.5"],
        "trainer.limit_val_batches": ["-1", "7.5"],
        "trainer.accumulate_grad_batches": ["0", "-1", "abc"],
        "trainer.gradient_clip_val": ["-1", "nan", "abc"],
        "trainer.gradient_clip_algorithm": ["foo"],
        "trainer.check_val_every_n_epoch": ["0", "-1"],
        "trainer.log_every_n_steps": ["-1", "abc"],
        "trainer.num_nodes": ["0"],
        "trainer.max_time": ["abc", "-1"],
        "trainer.profiler": ["foo"],
        "trainer.callbacks": ["Nope", "torch.nn.Linear", "3"],
        "trainer.plugins": ["foo"],
        "trainer.val_check_interval": ["0", "-1", "1.5"],
        "seed_everything": ["abc", "-1"],
        "memory_format": ["fast"],
        "keep_freed_memory": ["why"],
        "from_scratch": ["nofile.yaml"],
        "run.task": ["''", "a/b", ".."],
        "run.config": ["a/b", "../x"],
        "run.name": ["a/b", "..", "''", "/tmp/x", ".hidden", "a" * 300, "' '", "a\\b"],
        "run.root": ["''", "{here}/file", "/proc/none"],
        "run.wandb": ["sometimes"],
        "ckpt_path": ["nofile.ckpt", "''", "{here}", "last", "best"],
        "config": ["nofile.yaml", "''", ".", "{here}/file"],
    },
    "aoi_best": {
        "data.augmentation.rotation": ["181", "-1", "nan"],
        "data.augmentation.zoom": ["1", "-0.1"],
        "data.augmentation.translate": ["1.5", "-1"],
        "data.augmentation.color_jitter": ["-1", "nan"],
        "data.batch_size": ["1"],  # BatchNorm over one pixel
        "model.lr_scheduler.pct_start": ["0", "1", "2", "nan"],
        "model.lr_scheduler": ["torch.optim.lr_scheduler.StepLR", "torch.optim.Adam", "Nope"],
        "model.optimizer.weight_decay": ["-1", "nan"],
        "trainer.callbacks.power": ["-1", "nan"],
    },
    "vessels": {
        "data.val_size": ["0", "-1", "8", "999", "1.5"],
        "data.inputs.size": ["0", "-3", "abc"],
        "data.inputs.channels": ["blue", "rgb", "3"],
        "data.inputs.diameter": ["0", "-5", "nan"],
        "data.inputs.local_normalization": ["-1", "0", "nan"],
        "data.crops_per_image": ["0", "-1"],
        "model.network.widths": ["[]", "[0]", "[4,-8]", "abc", "4", "[1.5]"],
        "model.network.in_channels": ["0", "3", "-1"],
        "model.network.out_channels": ["0", "2"],
        "model.network.norm": ["layer"],
        "model.loss.fn_weight": ["-1", "nan", "inf"],
        "model.loss.exponent": ["0", "-1"],
        "model.inference.threshold": ["2", "-0.1", "nan"],
        "model.inference.tta": ["3", "0"],
        "model.inference.scales": ["[]", "[0]", "[-1]", "abc"],
        "model.inference.tile": ["0", "3"],
        "model.lr_scheduler.factor": ["2", "abc"],
        "model.lr_scheduler.patience": ["abc"],
        "model.fov_only": ["x"],
    },
    "vessels_best": {
        "data.augmentation.zoom": ["[2,1]", "[1]", "[0,1]", "[-1,1]", "abc"],
        "data.augmentation.crop": ["0", "-1"],
        "data.augmentation.noise": ["-1", "nan"],
        "trainer.callbacks.decay": ["1", "-0.1", "1.5", "nan"],
        "model.network.widths": ["[]", "[0]"],
        "model.optimizer.lr": ["-1", "nan"],
    },
    "retina": {
        "data.size": ["0", "-1", "abc"],
        "data.val_size": ["0", "8"],
        "model.network.in_channels": ["1", "4"],
        "model.network.widths": ["[]", "[-4]"],
        "model.network.skips": ["sometimes"],
    },
    "retina_compress": {
        "model.network.latent_channels": ["0", "-1", "9999"],
        "model.network.patch": ["0", "-1"],
        "model.network.step": ["0", "-1", "nan"],
        "model.network.dead_zone": ["-1", "nan"],
        "model.rate_weight": ["-1", "nan"],
        "model.linear_lr": ["-1", "nan"],
        "model.network": ["lit_models.networks.UNet"],
    },
    "blots": {
        "data.size": ["0", "-1", "15", "4"],
        "data.folds": ["1", "0", "99"],
        "data.fold": ["-1", "5"],
        "data.target": ["nowhere/", "wb_template/BandMask_"],
        "data.template1": ["nowhere/x_"],
        "model.generator": ["torch.nn.Nope", "lit_models.networks.Nope"],
        "model.adversarial_loss": ["torch.nn.MSELoss"],
        "model.kid_weights": ["nofile.pth"],
        "model.generator_optimizer.lr": ["-1", "nan"],
        "model.discriminator_optimizer.betas": ["[1.5,0.9]"],
        "trainer.gradient_clip_val": ["1"],
        "trainer.accumulate_grad_batches": ["2"],
    },
    "blots_best": {
        "model.generator.width": ["0", "-4"],
        "model.discriminator.width": ["0"],
        "model.augmentation.shift": ["-1"],
        "model.augmentation.color": ["-1", "nan"],
        "model.reconstruction_loss.mse_weight": ["-1", "nan"],
        "model.lr_scheduler.start": ["1", "-0.1", "2"],
        "trainer.callbacks.modules": ["[nothing]"],
        "data.size": ["24"],
    },
}

# Options that do not exist.
MISSPELLED = {
    "aoi": [
        "--data.imagesize=3",
        "--data.batchsize=3",
        "--model.optimzer.lr=3",
        "--model.optimizer.learning_rate=3",
        "--model.network.layers=3",
        "--modl.loss=x",
        "--trainer.max_epoch=3",
        "--trainer.max_epoc 3",
        "--trainer.callbacks.foo=3",
        "--run.nme=x",
        "--seed=3",
        "--epochs=3",
        "--data.augmentation.crop=3",
        "-x",
        "word",
        "--",
        "--trainer.max_epochs",
        "--config",
    ],
    "vessels": ["--data.inputs.chanels=gray", "--model.inference.treshold=0.5", "--data.size=64"],
    "blots": ["--data.foldz=2", "--model.generator.width=4", "--model.lr=0.1"],
}

SUBCOMMANDS = ["fitt", "compre", "xyzzy", "Fit", "--foo", "--config=x fit", "train", "eval"]
EVALUATION = [
    "--model.inference.tta=often",
    "--model.inference.nothing=1",
    "--data.imagesize=3",
    "--ckpt_path=nofile.ckpt",
    "--trainer.limit_test_batch=1",
    "--data.predict_dir=nowhere",
]

CONFIGS = {
    "syntax": "model:\n  class_path: x\n init_args: [\n",
    "tab": "model:\n\tclass_path: x\n",
    "list": "[1, 2]\n",
    "text": "hello\n",
    "empty": "",
    "unknown": "trainr:\n  max_epochs: 3\n",
    "unknown below": "trainer:\n  max_epocs: 3\n",
    "bad value": "data:\n  init_args:\n    image_size: many\n",
    "bad class": "model:\n  class_path: lit_models.Nope\n",
    "null": "model: null\n",
    "alias": "data: *nothing\n",
    "tag": "data: !!python/object/apply:os.system ['touch ran']\n",
}


def spoiled(doc: str) -> Callable[[Spoil], Spoil]:
    """Give a function that spoils files the words to name it by."""

    def name(function: Spoil) -> Spoil:
        function.__doc__ = doc
        return function

    return name


def _write(relative: str, content: bytes) -> Spoil:
    @spoiled(f"{relative} holds {content[:20]!r}")
    def spoil(here: Path) -> None:
        path = here / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return spoil


class _Runs:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("ran"),)


def checkpoints() -> dict[str, Spoil]:
    """Files at ``bad.ckpt`` that are no checkpoint, and some that are one of something else."""

    def save(value: object) -> Spoil:
        def spoil(here: Path) -> None:
            torch.save(value, here / "bad.ckpt")

        return spoil

    def changed(change: Callable[[dict], None]) -> Spoil:
        def spoil(here: Path) -> None:
            path = next(here.glob("run/checkpoints/last.ckpt"))
            checkpoint = torch.load(path, weights_only=True)
            change(checkpoint)
            torch.save(checkpoint, here / "bad.ckpt")

        return spoil

    def truncated(here: Path) -> None:
        whole = next(here.glob("run/checkpoints/last.ckpt")).read_bytes()
        (here / "bad.ckpt").write_bytes(whole[: len(whole) // 2])

    def flipped(here: Path) -> None:
        whole = bytearray(next(here.glob("run/checkpoints/last.ckpt")).read_bytes())
        for i in range(len(whole) // 3, len(whole) // 3 + 4000):
            whole[i] ^= 255
        (here / "bad.ckpt").write_bytes(bytes(whole))

    def image(here: Path) -> None:
        Image.new("L", (9, 9)).save(here / "bad.ckpt", "PNG")

    def code(here: Path) -> None:
        (here / "bad.ckpt").write_bytes(pickle.dumps(_Runs()))

    def nan(checkpoint: dict) -> None:
        for value in checkpoint["state_dict"].values():
            if value.is_floating_point():
                value.fill_(float("nan"))

    def renamed(checkpoint: dict) -> None:
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {f"x.{name}": value for name, value in state.items()}

    def shapes(checkpoint: dict) -> None:
        state = checkpoint["state_dict"]
        name = next(name for name, value in state.items() if value.dim() > 1)
        state[name] = state[name][:1, :1]

    def popen(checkpoint: dict) -> None:
        hyper = checkpoint["hyper_parameters"]
        hyper["loss"] = {"class_path": "subprocess.Popen", "init_args": {"args": "touch ran"}}

    return {
        "text": _write("bad.ckpt", b"hello\n"),
        "empty": _write("bad.ckpt", b""),
        "zip": _write("bad.ckpt", b"PK\x03\x04" + b"\0" * 100),
        "truncated": truncated,
        "flipped bytes": flipped,
        "image": image,
        "pickle with code": code,
        "code in torch's format": save(_Runs()),
        "list": save([1, 2]),
        "number": save(3),
        "tensor": save(torch.zeros(3)),
        "bare state dict": save({"weight": torch.zeros(3)}),
        "no weights": changed(lambda c: c.pop("state_dict")),
        "no loops": changed(lambda c: c.pop("loops")),
        "NaN weights": changed(nan),
        "other names": changed(renamed),
        "other shapes": changed(shapes),
        "a class that runs programs": changed(popen),
    }


def images() -> dict[str, Callable[[Path], None]]:
    """Ways for an image file not to be one, or not a usable one."""

    def palette(path: Path) -> None:
        Image.new("RGBA", (32, 32), (9, 9, 9, 50)).save(path, "PNG")

    def sixteen(path: Path) -> None:
        Image.fromarray(np.zeros((32, 32), np.uint16)).save(path, "PNG")

    def pages(path: Path) -> None:
        page = Image.new("L", (32, 32))
        page.save(path, "TIFF", save_all=True, append_images=[page])

    def cut(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])

    def folder(path: Path) -> None:
        path.unlink()
        path.mkdir()

    return {
        "text": lambda path: path.write_text("hello") and None,
        "empty": lambda path: path.write_bytes(b"") and None,
        "truncated": cut,
        "transparent": palette,
        "16 bits": sixteen,
        "two pages": pages,
        "a folder": folder,
        "gone": lambda path: path.unlink(),
    }


TABLES: dict[str, bytes] = {
    "empty": b"",
    "header": b"ID,Label\n",
    "other columns": b"name,class\ntrain_000.png,0\n",
    "no comma": b"ID\ntrain_000.png\n",
    "label out of range": b"ID,Label\ntrain_000.png,6\n",
    "label no number": b"ID,Label\ntrain_000.png,scratch\n",
    "no label": b"ID,Label\ntrain_000.png,\n",
    "twice": b"ID,Label\ntrain_000.png,0\ntrain_000.png,1\n",
    "image that is not there": b"ID,Label\nnothing.png,0\n",
    "path": b"ID,Label\n../../x.png,0\n",
    "UTF-16": "ID,Label\ntrain_000.png,0\n".encode("utf-16"),
    "Latin-1": "ID,Label\nträin.png,0\n".encode("latin-1"),
    "unbalanced quote": b'ID,Label\n"train_000.png,0\ntrain_001.png,1\n',
    "NUL": b"ID,Label\ntrain_000.png,\x000\n",
    "too many cells": b"ID,Label\ntrain_000.png,0,7\n",
    "image": b"\x89PNG\r\n\x1a\n\0\0\0",
    "one class": b"ID,Label\ntrain_000.png,0\ntrain_006.png,0\n",
}


def _spoil_image(pattern: str, name: str, change: Callable[[Path], None]) -> Spoil:
    @spoiled(f"{pattern} is {name}")
    def spoil(here: Path) -> None:
        change(sorted(here.glob(pattern))[1])

    return spoil


def _layout(name: str, change: Callable[[Path], object]) -> Spoil:
    @spoiled(name)
    def spoil(here: Path) -> None:
        change(here / "data")

    return spoil


def _invert(path: Path) -> None:
    Image.fromarray(255 - np.array(Image.open(path).convert("L"))).save(path)


def _swap(data: Path) -> None:
    (data / "training/mask").rename(data / "x")
    (data / "training/1st_manual").rename(data / "training/mask")
    (data / "x").rename(data / "training/1st_manual")


LAYOUTS: dict[str, dict[str, Callable[[Path], object]]] = {
    "aoi": {
        "no train.csv": lambda d: (d / "train.csv").unlink(),
        "no images": lambda d: shutil.rmtree(d / "train_images"),
        "a file": lambda d: (shutil.rmtree(d), d.write_text("x")),
        "empty": lambda d: (shutil.rmtree(d), d.mkdir()),
    },
    "vessels": {
        "no training": lambda d: shutil.rmtree(d / "training"),
        "no masks": lambda d: shutil.rmtree(d / "training/1st_manual"),
        "a mask too few": lambda d: next((d / "training/1st_manual").iterdir()).unlink(),
        "an image too few": lambda d: next((d / "training/images").iterdir()).unlink(),
        "an inverted mask": lambda d: _invert(next((d / "training/1st_manual").iterdir())),
        "an inverted field of view": lambda d: _invert(next((d / "training/mask").iterdir())),
        "masks swapped": _swap,
        "an empty mask": lambda d: Image.new("L", (40, 44)).save(
            next((d / "training/1st_manual").iterdir())
        ),
        "a mask of another size": lambda d: Image.new("L", (9, 9)).save(
            next((d / "training/1st_manual").iterdir())
        ),
        "a gray mask": lambda d: Image.fromarray(
            np.linspace(0, 255, 44 * 40).reshape(44, 40).astype(np.uint8)
        ).save(next((d / "training/1st_manual").iterdir())),
    },
    "retina": {"empty": lambda d: (shutil.rmtree(d), d.mkdir())},
    "blots": {
        "no templates": lambda d: shutil.rmtree(d / "wb_template"),
        "a template too few": lambda d: next((d / "wb_template").iterdir()).unlink(),
        "a template that is the target": lambda d: shutil.copy(
            d / "wb_dataset/bg_0000.png", d / "wb_template/BandMask_bg_0000.png"
        ),
        "another shape": lambda d: Image.new("L", (9, 9)).save(d / "wb_dataset/bg_0001.png"),
        "groups.csv without a stem": lambda d: (d / "groups.csv").write_text("ID,membrane\nx,1\n"),
        "groups.csv empty": lambda d: (d / "groups.csv").write_text(""),
        "groups.csv of one membrane": lambda d: (d / "groups.csv").write_text(
            "ID,membrane\n" + "".join(f"bg_{n:04d},m\n" for n in range(23))
        ),
    },
}

RUN_FILES: dict[str, bytes] = {
    "run/run.json": b"{",
    "run/metrics.csv": b"epoch,step\n1,2,3\n",
    "run/config.yaml": b"a: [",
}


def cases() -> Iterator[Case]:
    """All of them."""
    for config, options in VALUES.items():
        for option, values in options.items():
            for value in values:
                given = value.strip("'") if set(value) == {"'"} or value == "' '" else value
                spoil = _write("file", b"text") if "{here}/file" in value else None
                yield Case("option value", config, ("fit", f"--{option}={given}"), spoil)
    for config, options_given in MISSPELLED.items():
        for option in options_given:
            yield Case("misspelled option", config, ("fit", *option.split()))
    for subcommand in SUBCOMMANDS:
        yield Case("subcommand", "", tuple(subcommand.split()))
    yield Case("subcommand", "", ("fit",))
    yield Case("subcommand", "", ("fit", "--model=lit_models.BlotGAN"))
    for stage in ("validate", "test", "predict"):
        yield Case("no checkpoint", "aoi", (stage,))
        for option in EVALUATION:
            if ("predict_dir" in option) == (stage == "predict") or "predict_dir" not in option:
                path = () if "ckpt_path" in option else ("--ckpt_path={run}/checkpoints/last.ckpt",)
                yield Case("option value", "aoi", (stage, *path, option))
    for name, text in CONFIGS.items():
        spoil = spoiled(name)(_write("c.yaml", text.encode()))
        yield Case("config", "aoi", ("fit", "--config={here}/c.yaml"), spoil)
    yield Case(
        "config", "aoi", ("fit", "--config={here}/c.yaml"), _write("c.yaml", b"\xff\xfe\x00d")
    )
    for name, spoil in checkpoints().items():
        spoil = spoiled(name)(spoil)
        for stage in ("fit", "test", "predict"):
            if (stage == "fit") < (name == "no loops"):  # an evaluation needs weights alone
                continue
            config = "vessels" if stage == "test" else "aoi"
            more = ("--trainer.max_epochs=9",) if stage == "fit" else ()
            yield Case("checkpoint", config, (stage, "--ckpt_path={here}/bad.ckpt", *more), spoil)
    yield Case("checkpoint", "retina", ("test", "--ckpt_path={other}/checkpoints/last.ckpt"))
    yield Case("checkpoint", "retina", ("fit", "--ckpt_path={other}/checkpoints/last.ckpt"))
    yield Case("finished run", "aoi", ("fit", "--ckpt_path={run}/checkpoints/last.ckpt"))
    for name, change in images().items():
        for config, pattern in (
            ("aoi", "data/train_images/*"),
            ("vessels", "data/training/images/*"),
            ("retina", "data/training/images/*"),
            ("blots", "data/wb_template/*"),
        ):
            spoil = _spoil_image(pattern, name, change)
            more = ("--data.num_workers=2",) if config == "aoi" else ()
            yield Case("image", config, ("fit", *more), spoil)
        if name not in ("gone", "a folder"):
            path = "--ckpt_path={run}/checkpoints/last.ckpt"
            spoil = _spoil_image("data/test_images/*", name, change)
            args = ("predict", path, "--data.predict_dir={data}/test_images")
            yield Case("image", "aoi", args, spoil)
    for name, content in TABLES.items():
        spoil = spoiled(f"train.csv: {name}")(_write("data/train.csv", content))
        yield Case("table", "aoi", ("fit",), spoil)
    for config, layouts in LAYOUTS.items():
        for name, change_layout in layouts.items():
            yield Case("layout", config, ("fit",), _layout(name, change_layout))
    for relative, content in RUN_FILES.items():
        spoil = _write(relative, content)
        args = ("fit", "--ckpt_path={run}/checkpoints/last.ckpt", "--trainer.max_epochs=3")
        yield Case("run folder", "aoi", args, spoil, fine="metrics" not in relative)
    for args in (("compare",), ("compare", "nowhere"), ("compare", "{here}"), ("compare", "--x")):
        yield Case("compare", "", args)
    yield Case(
        "output", "aoi", ("predict", "--ckpt_path={run}/checkpoints/last.ckpt", "--output={run}")
    )
    yield Case("control", "aoi", ("fit", "--data.augmentation=null"), fine=True)
    yield Case("control", "vessels", ("fit", "--data.inputs.diameter=null"), fine=True)
