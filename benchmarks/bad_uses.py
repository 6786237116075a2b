"""Bad inputs to what is done with runs: evaluation, prediction, comparison, export, demo, folds."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_files import Spoil, write_bytes
from PIL import Image

BEST = "--ckpt_path={run}/checkpoints/last.ckpt"

# Subcommand: arguments that it must refuse, after those of a small run.
STAGES: dict[str, list[str]] = {
    "validate": [
        "--ckpt_path=",
        "--ckpt_path=[]",
        "--ckpt_path=[{run}/run.json]",
        "--ckpt_path=[1,2]",
        "--ckpt_path=[{run}",
        "--ckpt_path={run}/run.json",
        "--ckpt_path={run}/checkpoints",
        "--ckpt_path={run}/checkpoints/*.ckpt",
        "--ckpt_path=https://example.com/last.ckpt",
        "--ckpt_path=best",
        f"{BEST} --data.batch_size=0",
        f"{BEST} --data.num_workers=-1",
        f"{BEST} --model.inference.tta=null",
        f"{BEST} --model.inference=null",
        f"{BEST} --model.inference.temperature=1e400",
        f"{BEST} --trainer.limit_val_batches=0",
        f"{BEST} --trainer.limit_val_batches=nan",
        f"{BEST} --trainer.precision=8",
        f"{BEST} --verbose=maybe",
        f"{BEST} --run.root={{here}}/file",
        f"{BEST} --data.data_dir={{run}}",
        f"{BEST} --data.data_dir=\\0",
        f"{BEST} --ckpt_path=nothing.ckpt",
        f"{BEST} --seed_everything=maybe",
        f"{BEST} word",
    ],
    "test": [
        f"{BEST} --data.data_dir={{here}}/file",
        f"{BEST} --trainer.limit_test_batches=0",
        f"{BEST} --trainer.devices=auto2",
        f"{BEST} --trainer.callbacks=[callbacks.Nope]",
        f"{BEST} --trainer.logger=Nope",
        f"{BEST} --memory_format=",
        "--ckpt_path={here}",
        "--ckpt_path={here}/file",
        "--ckpt_path=[{run}/checkpoints/last.ckpt,{other}/checkpoints/last.ckpt]",
        "--ckpt_path=last --run.name=nothing",
        "--ckpt_path=last --run.root={here}/file",
    ],
    "predict": [
        f"{BEST} --data.predict_dir=",
        f"{BEST} --data.predict_dir={{here}}/ö/ü",
        f"{BEST} --data.predict_dir={{here}}/*",
        f"{BEST} --data.predict_dir=http://127.0.0.1:1/x",
        f"{BEST} --data.predict_dir={'a' * 300}",
        f"{BEST} --data.predict_dir={{data}}/test_images --data.recursive=maybe",
        f"{BEST} --data.predict_dir=[{{data}}/test_images]",
        f"{BEST} --output={{here}}/file",
        f"{BEST} --output={{here}}/file/x",
        f"{BEST} --output={{run}}",
        f"{BEST} --output={{here}}",
        f"{BEST} --output=/dev/null",
        f"{BEST} --output=/proc/none/x",
        f"{BEST} --output={'a' * 300}",
        f"{BEST} --output=[a]",
        f"{BEST} --return_predictions=maybe",
        f"{BEST} --trainer.limit_predict_batches=0",
        f"{BEST} --trainer.limit_predict_batches=2.5",
        f"{BEST} --model.inference.tta=2",
        f"{BEST} --data.batch_size=1e9",
        f"{BEST} --data.class_names=[a,b]",
        "--ckpt_path=[{run}/checkpoints/last.ckpt,nothing.ckpt]",
    ],
    "crossval": [
        "--folds=1",
        "--folds=0",
        "--folds=-3",
        "--folds=abc",
        "--folds=2.5",
        "--folds=",
        "--folds=99999",
        "--folds",
        "--seeds=0",
        "--seeds=x",
        "--seed=-1",
        "--seed=4294967296",
        "--data.fold=1",
        "--data.folds=3",
        "--ckpt_path=last",
        "--run.config=x",
        "--run.name=",
        "--run.name=a/b",
        "--run.name=..",
        "--run.root={here}/file",
        "--run.root=/proc/none",
        "--run.task=a/b",
        "--trainer.devices=2",
        "--trainer.max_epochs=0",
        "--trainer.max_epoch=1",
        "--data.imagesize=3",
        "--model.loss=foo",
        "--data.val_fraction=2",
        "--data.data_dir=nowhere",
        "--config={here}/file",
        "--config=",
        "--config={here}",
        "--config=nothing.yaml",
        "word",
    ],
}

# Of no config: complete command lines.
LINES: list[str] = [
    "export",
    "export --ckpt_path",
    "export --ckpt_path=",
    "export --ckpt_path=nothing.ckpt",
    "export --ckpt_path={here}",
    "export --ckpt_path={here}/file",
    "export --ckpt_path=/dev/null",
    "export --ckpt_path=best",
    "export --ckpt_path=last --config=nothing.yaml",
    "export --ckpt_path=last --config={here}/file",
    "export --ckpt_path=last --config={here}",
    "export --ckpt_path=best --run.task=..",
    "export --ckpt_path=best --run.task=aoi --run.root={here}/file",
    "export --ckpt_path=best --run.task=aoi --run.name=a/b",
    "export --ckpt_path={here}/file --format=tflite",
    "export --ckpt_path={here}/file --format=",
    "export --ckpt={here}/file",
    "export {here}/file",
    "export --ckpt_path={here}/file --opset=13",
    "demo --port=99999",
    "demo --port=-1",
    "demo --port=abc",
    "demo --ckpt_path=nothing.ckpt",
    "demo --ckpt_path={here}/file",
    "demo --ckpt_path={here}",
    "demo --ckpt_path=best",
    "demo --config=nothing.yaml",
    "demo --config={here}/file",
    "demo --hots=0.0.0.0",
    "demo word",
    "compare {here}/file",
    "compare /dev/null",
    "compare ''",
    "compare *",
    "compare {here} --output={here}/x.html",
    "compare --output=x.html",
    "compare {here}/file --outptu=x",
    "compare {here}/ö",
    "crossval",
    "crossval --folds=3",
    "crossval --config=nothing.yaml",
    "crossval --config={here}/file",
    "crossval --config={here}",
]

# Of a run of aoi at {run}.
RUN_LINES: list[str] = [
    "export --ckpt_path={run} --output={here}/file",
    "export --ckpt_path={run} --output=/proc/none",
    "export --ckpt_path={run} --output=/dev/null",
    "export --ckpt_path={run} --format=onnx,pt",
    "export --ckpt_path={run}/run.json",
    "demo --ckpt_path={run} --host=nowhere.invalid",
    "demo --ckpt_path={run} --port=1",
    "compare {run} --output={here}",
    "compare {run} --output=/proc/none/x.html",
    "compare {run} --output={here}/file/x.html",
    "compare {run} --output=",
    "compare {run} {other}",
    "compare {run}/run.json",
    "compare {run}/checkpoints",
]

# What a damaged record makes of `compare`: nothing is left to compare.
RECORDS: dict[str, bytes] = {
    "empty": b"",
    "a list": b"[1, 2]",
    "null": b"null",
    "cut off": b'{"status": "finished", "metr',
    "an image": b"\x89PNG\r\n\x1a\n\0\xff",
    "of another program": b'{"name": "x"}',
    "numbers for texts": b'{"status": 3, "task": 4, "stage": 5}',
}

# `fit` options of rarer kinds, by config.
FIT: dict[str, list[str]] = {
    "aoi": [
        "--trainer.min_epochs=-1",
        "--trainer.min_epochs=abc",
        "--trainer.deterministic=maybe",
        "--trainer.benchmark=7",
        "--trainer.detect_anomaly=x",
        "--trainer.sync_batchnorm=x",
        "--trainer.inference_mode=x",
        "--trainer.default_root_dir=[1]",
        "--trainer.max_time={days: x}",
        "--trainer.max_time=00:00:00:xx",
        "--trainer.profiler=[simple]",
        "--trainer.enable_checkpointing=x",
        "--trainer.enable_checkpointing=false",
        "--trainer.barebones=true",
        "--trainer.strategy=deepspeed_stage_9",
        "--trainer.plugins=[torch.nn.Linear]",
        "--trainer.logger=[torch.nn.Linear]",
        "--trainer.num_sanity_val_steps=-2",
        "--trainer.num_sanity_val_steps=x",
        "--trainer.use_distributed_sampler=x",
        "--trainer.callbacks=[{class_path: callbacks.BestCheckpoint}]",
        "--trainer.callbacks=[{class_path: callbacks.BestCheckpoint, init_args: "
        "{monitor: val/loss, mode: sideways}}]",
        "--trainer.callbacks=[{class_path: callbacks.BestCheckpoint, init_args: "
        "{monitor: val/nothing}}]",
        "--trainer.callbacks=[{class_path: callbacks.BestCheckpoint, init_args: "
        "{monitor: val/loss, filename: ../../x}}]",
        "--trainer.callbacks=[{class_path: callbacks.AOIWriter, init_args: {max_error: 2}}]",
        "--trainer.callbacks=[{class_path: callbacks.TemperatureScaling, init_args: {x: 2}}]",
        "--trainer.callbacks=[callbacks.VesselFigures]",
        "--trainer.callbacks=[callbacks.BlotWriter]",
        "--model.optimizer=torch.optim.LBFGS",
        "--model.optimizer=torch.optim.SparseAdam",
        "--model.optimizer={class_path: torch.optim.SGD}",
        "--model.optimizer={class_path: torch.optim.SGD, init_args: {lr: 0.1, nesterov: true}}",
        "--model.loss={class_path: torch.nn.CrossEntropyLoss, init_args: {ignore_index: x}}",
        "--model.loss=torch.nn.BCEWithLogitsLoss",
        "--model.loss=torch.nn.NLLLoss2d",
        "--model.network.stem_stride=0",
        "--model.network.stem_stride=x",
        "--model.network.num_classes=7",
        "--model.network.name=inception_v3",
        "--model.network.name=squeezenet1_0",
        "--data.folds=3",
        "--data.fold=0",
        "--data.folds=3 --data.fold=3",
        "--data.folds=3 --data.fold=some",
        "--data.folds=99 --data.fold=0",
        "--data.class_names=[1,2,3,4,5,6,7]",
        "--data.augmentation={class_path: datamodules.transforms.DefectAugmentation, "
        "init_args: {x: 1}}",
        "--data.augmentation=datamodules.transforms.RandomCropFlip",
        "--data.seed=[1,2]",
        "--data.image_size=16385",
        "--data.image_size=1",
        "--run.config=",
        "--run.project=",
        "--run.task={a: 1}",
        "--output=[1]",
        "--from_scratch=../../etc/passwd",
        "--keep_freed_memory=null",
        "--data.train=x",
        "--trainer.callbacks.nothing=1",
        "--model.init_args.loss=foo",
        "--optimizer=Adam",
        "--lr_scheduler=x",
    ],
    "retina_best": [
        "--data.augmentation.crop=4096",
        "--data.augmentation.scale=[0,1]",
        "--data.crops_per_image=0",
        "--model.network.widths=[4,8,8,8,8,8,8,8,8]",
        "--model.network.in_channels=1",
        "--model.optimizer.lr=1e400",
        "--trainer.callbacks.decay=2",
    ],
    "vessels_best": [
        "--data.inputs.diameter=1",
        "--data.inputs.channels=[gray]",
        "--model.network.in_channels=2",
        "--model.inference.tta=x",
        "--model.loss=[a,b]",
        "--data.augmentation.rotation=abc",
        "--data.folds=3 --data.fold=all --data.val_size=2",
    ],
    "blots_best": [
        "--model.generator=lit_models.networks.StyledBlotGenerator",
        "--model.discriminator=lit_models.networks.StyledBlotDiscriminator",
        "--model.reconstruction_loss=torch.nn.CrossEntropyLoss",
        "--model.lr_scheduler=torch.optim.lr_scheduler.StepLR",
        "--data.size=17",
        "--trainer.strategy=fsdp",
    ],
    "blots_style": [
        "--model.swapped=-1",
        "--model.kept_styles=0",
        "--model.adversarial_weight=nan",
        "--model.generator.levels=0",
        "--model.generator.eval_grain=-1",
        "--model.discriminator.scales=0",
        "--data.style=3",
        "--data.style.nothing=3",
        "--data=datamodules.BlotDataModule",
    ],
}


def images() -> dict[str, tuple[bool, Callable[[Path], None]]]:
    """More images, and whether they are good."""
    gray = np.random.default_rng(0).integers(0, 255, (32, 32)).astype(np.uint8)

    def saved(mode: str, kind: str, **options: object) -> Callable[[Path], None]:
        def change(path: Path) -> None:
            Image.fromarray(gray).convert(mode).save(path, kind, **options)

        return change

    def zero(path: Path) -> None:
        header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 8 + b"\x08\0\0\0\0"
        path.write_bytes(header + b"\0" * 4)

    def tail(path: Path) -> None:
        saved("L", "JPEG")(path)
        path.write_bytes(path.read_bytes() + b"\0" * 999)

    def cut(kind: str) -> Callable[[Path], None]:
        def change(path: Path) -> None:
            saved("L", kind)(path)
            path.write_bytes(path.read_bytes()[:-200])

        return change

    def signed(path: Path) -> None:
        Image.fromarray(np.full((32, 32), -7, np.int32)).save(path, "TIFF")

    return {
        "of one bit": (True, saved("1", "PNG")),
        "a JPEG of four inks": (False, saved("CMYK", "JPEG")),
        "opaque RGBA": (True, saved("RGBA", "PNG")),
        "gray with alpha": (True, saved("LA", "PNG")),
        "a palette": (True, saved("P", "PNG")),
        "a WebP": (True, saved("RGB", "WEBP", lossless=True)),
        "of no pixels": (False, zero),
        "a JPEG with a tail": (True, tail),
        "a BMP cut off": (False, cut("BMP")),
        "a TIFF cut off": (False, cut("TIFF")),
        "of signed numbers": (False, signed),
        "a PDF": (False, lambda p: p.write_bytes(b"%PDF-1.7\n") and None),
        "a link to nothing": (False, lambda p: (p.unlink(), p.symlink_to("nothing")) and None),
    }


TABLES: dict[str, bytes] = {
    "two headers": b"ID,Label\nID,Label\ntrain_000.png,0\n",
    "label in quotes of another kind": "ID,Label\ntrain_000.png,“0”\n".encode(),
    "label True": b"ID,Label\ntrain_000.png,True\n",
    "label 1e0": b"ID,Label\ntrain_000.png,1e0\n",
    "header in capitals": b"id,label\ntrain_000.png,0\n",
    "no header": b"train_000.png,0\ntrain_001.png,1\n",
    "names without ending": b"ID,Label\ntrain_000,0\n",
    "a Windows path": b"ID,Label\ntrain_images\\train_000.png,0\n",
    "UTF-32": "ID,Label\ntrain_000.png,0\n".encode("utf-32"),
    "JSON": b'[{"ID": "train_000.png", "Label": 0}]',
    "missing cells": b"ID,Label\ntrain_000.png\n",
    "one image": b"ID,Label\ntrain_000.png,0\n",
    "a comment": b"# images\nID,Label\ntrain_000.png,0\n",
}

# Variables of the environment with which `fit` still works, or is refused (False).
ENVIRONMENTS: dict[str, tuple[bool, dict[str, str]]] = {
    "OMP_NUM_THREADS junk": (True, {"OMP_NUM_THREADS": "junk"}),
    "CUDA_VISIBLE_DEVICES junk": (True, {"CUDA_VISIBLE_DEVICES": "junk"}),
    "NODE_RANK junk": (False, {"NODE_RANK": "junk"}),
    "LOCAL_RANK junk": (False, {"LOCAL_RANK": "junk"}),
    "WORLD_SIZE junk": (False, {"WORLD_SIZE": "junk"}),
    "empty cache": (True, {"XDG_CACHE_HOME": "", "TORCH_HOME": ""}),
    "SLURM without its size": (True, {"SLURM_JOB_ID": "3"}),
    "warnings as errors for Python": (True, {"PYTHONWARNINGS": "error"}),
    "an unknown time zone": (True, {"TZ": "Nowhere/Nothing"}),
    "a proxy that is junk": (True, {"https_proxy": "junk", "HTTP_PROXY": "::"}),
}


def _mode(relative: str, mode: int) -> Spoil:
    def spoil(here: Path) -> None:
        for path in here.glob(relative):
            os.chown(path, 0, 0)
            path.chmod(mode)

    spoil.__doc__ = f"{relative} has mode {mode:o}"
    return spoil


# As a user who owns nothing: what must not be read or written. Linux, as root.
PERMISSIONS: dict[str, list[tuple[str, str, Spoil]]] = {
    "aoi": [
        ("fit", "", _mode("data", 0o000)),
        ("fit", "", _mode("data/train.csv", 0o000)),
        ("fit", "", _mode("data/train_images", 0o000)),
        ("fit", "", _mode("data/train_images", 0o444)),
        ("fit", "", _mode("data/train_images/train_001.png", 0o000)),
        ("fit", "--run.root={here}/locked", write_bytes("locked/x", b"")),
        ("fit", "--run.root={here}/locked/x/y", write_bytes("locked/x/z", b"")),
        ("fit", "--config={here}/file", _mode("file", 0o000)),
        ("fit", "--ckpt_path={run}", _mode("run", 0o000)),
        ("test", BEST, _mode("run", 0o000)),
        ("test", BEST, _mode("run/checkpoints", 0o000)),
        ("test", BEST, _mode("run/checkpoints/last.ckpt", 0o000)),
        ("predict", f"{BEST} --data.predict_dir={{data}}/test_images", _mode("run", 0o555)),
        ("predict", f"{BEST} --data.predict_dir={{here}}/secret/x", _mode("secret", 0o000)),
        ("predict", f"{BEST} --output={{here}}/locked/x", write_bytes("locked/x", b"")),
        ("fit", f"{BEST} --trainer.max_epochs=3", _mode("run", 0o555)),
    ],
    "vessels": [
        ("fit", "", _mode("data/training", 0o000)),
        ("fit", "", _mode("data/training/images", 0o000)),
        ("fit", "", _mode("data/training/mask", 0o444)),
        ("fit", "", _mode("data/training/1st_manual/22_manual1.gif", 0o000)),
        ("predict", f"{BEST} --data.predict_dir={{data}}/test", _mode("data/test", 0o000)),
    ],
    "blots": [
        ("fit", "", _mode("data/wb_template", 0o000)),
        ("fit", "", _mode("data/groups.csv", 0o000)),
    ],
}


def secret(here: Path) -> None:
    """A folder that `PERMISSIONS` close, with an image in it."""
    (here / "secret/x").mkdir(parents=True)
    shutil.copy(next(here.glob("data/**/*.png"), here / "file"), here / "secret/x")
