"""Bad inputs that are rarer: nested options, odd files, an environment that gets in the way."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bad_files import Spoil, write_bytes
from PIL import Image

# Option: values that `fit` must refuse.
VALUES: dict[str, dict[str, list[str]]] = {
    "aoi": {
        "data.batch_size": ["null", "inf", "1e3", "[8]", "''", "八", "1" * 50],
        "data.image_size": ["{}", "true", "0x20", "32a"],
        "data.num_workers": ["null", "[0]", "nan"],
        "data.class_names": ["null", "[[a],[b],[c],[d],[e],[f]]", "[a,b,c,d,e,'']", "{a: 1}"],
        "data.predict_dir": ["[1]"],
        "data": ["''", "[]", "datamodules", "common.errors.DataError"],
        "model": ["''", "[]", "null", "lit_models", "modèle.Réseau"],
        "model.loss": ["foo", "null", "''", "torch", "torch.nn", "torch.nn.", ".", "true"],
        "model.loss.weight": ["[1,2]", "abc"],
        "model.network": ["null", "''", "[]", "torch.nn.Module", "foo"],
        "model.network.weights": ["''", "/dev/null", "https://example.com/x.pth", "[1]"],
        "model.network.frozen": ["null", "2", "[]"],
        "model.network.name": ["null", "[resnet18]", "nms", "get_model"],
        "model.optimizer": ["null", "[]", "torch.optim", "torch.optim.Optimizer", "''"],
        "model.optimizer.lr": ["''", "[1]", "1e999", "{}", "true"],
        "model.optimizer.betas": ["null", "[]", "[nan,0.9]", "[a,b]", "[0.9,0.99,0.999]"],
        "model.inference": ["3", "foo", "[]", "torch.nn.Linear"],
        "model.inference.temperature": ["0", "-1", "nan", "inf", "abc"],
        "seed_everything": ["1e400", "nan", "[]", "''", "99999999999999999999"],
        "trainer.max_epochs": ["inf", "[]", "''", "10 000"],
        "trainer.max_time": ["''", "[]", "99:99:99:99:99"],
        "trainer.limit_train_batches": ["inf", "nan", "[]"],
        "trainer.limit_test_batches": ["-3", "nan"],
        "trainer.precision": ["''", "[]"],
        "trainer.devices": ["''", "[0,0]", "-1.5", "inf"],
        "trainer.num_nodes": ["null", "-2", "nan"],
        "trainer.accelerator": ["''", "cuda", "mps"],
        "trainer.logger": ["foo", "3"],
        "trainer.callbacks": ["[foo]", "''", "[{}]", "[3]", "os.abort"],
        "trainer.gradient_clip_val": ["inf", "[]", "''"],
        "trainer.fast_dev_run": ["-1", "foo"],
        "trainer.overfit_batches": ["-1", "nan"],
        "trainer.reload_dataloaders_every_n_epochs": ["-1"],
        "trainer": ["3", "[]", "foo"],
        "run": ["3", "[]", "foo"],
        "run.name": ["null.\n", "a\nb", "a:b"],
        "run.root": ["{here}/file/x", "/dev/null"],
        "run.wandb": ["null", "''", "[]"],
        "memory_format": ["null", "''"],
        "ckpt_path": ["[]", "{}", "http://127.0.0.1:1/x.ckpt", "~/nothing.ckpt", "*.ckpt", "{run}"],
        "config": ["{here}", "[]", "{here}/nothing/x.yaml", "https://127.0.0.1:1/x.yaml"],
    },
    "aoi_best": {
        "data.augmentation": ["foo", "[]", "torch.nn.Linear"],
        "data.augmentation.rotation": ["null", "[1,2]", "inf", "''"],
        "data.augmentation.zoom": ["nan", "null"],
        "data.augmentation.translate": ["inf", "[0.1]"],
        "model.lr_scheduler.pct_start": ["null", "abc"],
        "model.lr_scheduler": ["null.x", "torch.optim", "[]"],
    },
    "vessels": {
        "model.network.widths": ["[null]", "[nan]", "{}", "''", "[[4]]", "[4,0]", "null", "[]"],
        "model.network.norm": ["null.", "3", "[]"],
        "data.inputs": ["foo", "[]", "3", "torch.nn.Linear"],
        "data.inputs.channels": ["''", "[]", "null"],
        "data.inputs.size": ["null.", "inf", "[32,32]", "7.5"],
        "model.loss": ["torch.nn.L1Loss.forward", "lit_models", "lit_models.losses"],
        "model.loss.fn_weight": ["null", "[]", "''", "1e999"],
        "model.inference.scales": ["null.", "[nan]", "[inf]", "{}", "[1,a]"],
        "model.inference.threshold": ["null", "[0.5]", "inf"],
        "model.lr_scheduler.mode": ["sideways"],
        "model.lr_scheduler.factor": ["null", "nan", "-1"],
        "model.lr_scheduler.patience": ["-1", "nan", "1.5"],
    },
    "vessels_best": {
        "data.augmentation.crop": ["null.", "[32]", "99999", "1"],
        "data.augmentation.zoom": ["null", "[nan,1]", "[1,inf]", "[]", "[1,2,3]"],
        "trainer.callbacks.decay": ["null", "abc", "inf"],
    },
    "blots": {
        "data.folds": ["null", "[5]", "inf", "1.5"],
        "data.fold": ["null.", "5", "[0]"],
        "data.target": ["''", "[]", "/", "../"],
        "data.template2": ["''", "wb_dataset/"],
        "data.eval_batch_size": ["0", "-1", "null"],
        "model.generator": ["3", "[]", "torch.nn.Identity", "lit_models.networks.UNet"],
        "model.discriminator": ["torch.nn.Identity", "foo", "null"],
        "model.kid_weights": ["{here}", "[]", "/dev/null"],
        "model.reconstruction_weight": ["-1", "nan", "abc"],
    },
    "blots_style": {
        "data.samples": ["0", "-1", "nan", "[]"],
        "data.style.paper": ["-1", "999", "nan", "abc", "[]"],
        "data.style_from": ["[]"],
    },
}
CONFIGS: dict[str, bytes] = {
    "nothing but spaces": b"   \n\n",
    "a comment": b"# nothing\n",
    "tabs for indentation": b"trainer:\n\t\tmax_epochs: 3\n",
    "a key twice": b"trainer:\n  max_epochs: 3\n  max_epochs: 4\n",
    "a section twice": b"data:\n  init_args: {seed: 1}\ndata:\n  init_args: {seed: 2}\n",
    "a list below": b"trainer: [1, 2]\n",
    "a scalar below": b"data: 3\n",
    "class without a module": b"model:\n  class_path: Nope\n",
    "class that is a module": b"model:\n  class_path: lit_models\n",
    "class that is a number": b"model:\n  class_path: 3\n",
    "class without its name": b"model:\n  init_args: {optimizer: 3}\n",
    "class that is null": b"data:\n  class_path: null\n",
    "init_args that are a list": b"model:\n  class_path: lit_models.DefectClassifier\n"
    b"  init_args: [1]\n",
    "dict_kwargs": b"model:\n  class_path: lit_models.DefectClassifier\n  dict_kwargs: {x: 1}\n",
    "an image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a pickle": b"\x80\x04\x95\x10\0\0\0",
    "NUL": b"trainer:\n  max_epochs: \0\n",
    "two documents": b"trainer: {max_epochs: 3}\n---\ntrainer: {max_epochs: 4}\n",
    "a number as key": b"3: 4\n",
    "a list as key": b"? [1, 2]\n: 3\n",
    "JSON cut off": b'{"trainer": {"max_epochs": 3',
    "an anchor in itself": b"a: &a [*a]\n",
    "merge of nothing": b"trainer:\n  <<: 3\n",
    "a date": b"trainer:\n  max_epochs: 2026-01-01\n",
    "callbacks that are no list": b"trainer:\n  callbacks: {a: 1}\n",
    "a callback of None": b"trainer:\n  callbacks: [null]\n",
    "a subcommand within": b"fit:\n  trainer: {max_epochs: 3}\n",
}


def checkpoints() -> dict[str, Spoil]:
    """More files at ``bad.ckpt`` that are no checkpoint, or not a whole one."""

    def changed(change: Callable[[dict], object]) -> Spoil:
        def spoil(here: Path) -> None:
            checkpoint = torch.load(here / "run/checkpoints/last.ckpt", weights_only=True)
            change(checkpoint)
            torch.save(checkpoint, here / "bad.ckpt")

        return spoil

    def cut(size: int) -> Spoil:
        def spoil(here: Path) -> None:
            whole = (here / "run/checkpoints/last.ckpt").read_bytes()
            (here / "bad.ckpt").write_bytes(whole[:size])

        return spoil

    def hyper(**values: object) -> Spoil:
        return changed(lambda c: c["hyper_parameters"].update(values))

    return {
        "cut after a byte": cut(1),
        "cut before its last byte": cut(-1),
        "a link to itself": lambda h: (h / "bad.ckpt").symlink_to(h / "bad.ckpt"),
        "a link to nothing": lambda h: (h / "bad.ckpt").symlink_to(h / "nothing"),
        "a folder": lambda h: (h / "bad.ckpt").mkdir(),
        "a pipe": lambda h: os.mkfifo(h / "bad.ckpt"),
        "a run without checkpoints": lambda h: (
            shutil.copytree(h / "run", h / "bad.ckpt") and shutil.rmtree(h / "bad.ckpt/checkpoints")
        ),
        "settings that are a list": changed(lambda c: c.update(hyper_parameters=[1])),
        "settings that are None": changed(lambda c: c.update(hyper_parameters=None)),
        "data's settings None": changed(lambda c: c.update(datamodule_hyper_parameters=None)),
        "weights that are None": changed(lambda c: c.update(state_dict=None)),
        "weights that are numbers": changed(
            lambda c: c.update(state_dict=dict.fromkeys(c["state_dict"], 1))
        ),
        "no weights within": changed(lambda c: c.update(state_dict={})),
        "a network that is a number": hyper(network=3),
        "a network of no name": hyper(network={"init_args": {}}),
        "an unknown setting": hyper(nonsense=1),
        "an empty dictionary": changed(dict.clear),
    }


def resumed_checkpoints() -> dict[str, Spoil]:
    """Such whose weights are good, but with which a training cannot go on."""

    def changed(**values: object) -> Spoil:
        def spoil(here: Path) -> None:
            checkpoint = torch.load(here / "run/checkpoints/last.ckpt", weights_only=True)
            torch.save({**checkpoint, **values}, here / "bad.ckpt")

        return spoil

    return {
        "no optimizer": changed(optimizer_states=[]),
        "an optimizer of nothing": changed(optimizer_states=[{}]),
        "an epoch that is a text": changed(epoch="three"),
        "loops that are empty": changed(loops={}),
        "loops of another kind": changed(loops={"fit_loop": 3}),
        "callbacks that are a list": changed(callbacks=[1]),
    }


def images() -> dict[str, Callable[[Path], None]]:
    """More ways for an image not to be a usable one."""

    def header(path: Path) -> None:
        def chunk(name: bytes, data: bytes) -> bytes:
            size, check = len(data), zlib.crc32(name + data)
            return struct.pack(">I", size) + name + data + struct.pack(">I", check)

        size = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
        body = chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0"))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))

    def animated(path: Path) -> None:
        frames = [Image.new("L", (32, 32), 40 * n) for n in range(3)]
        frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])

    def palette(path: Path) -> None:
        image = Image.new("P", (32, 32))
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.save(path, "PNG", transparency=0)

    def half(path: Path) -> None:
        values = np.random.default_rng(0).random((32, 32)).astype(np.float32)
        Image.fromarray(values).save(path, "TIFF")

    def loop(path: Path) -> None:
        path.unlink()
        path.symlink_to(path)

    def pipe(path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    return {
        "a huge header": header,
        "an animated GIF": animated,
        "a palette with transparency": palette,
        "of floats": half,
        "a link to itself": loop,
        "a pipe": pipe,
        "a web page": lambda p: p.write_text("<html></html>") and None,
        "an SVG": lambda p: p.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>") and None,
    }


TABLES: dict[str, bytes] = {
    "semicolons": b"ID;Label\ntrain_000.png;0\n",
    "tabs": b"ID\tLabel\ntrain_000.png\t0\n",
    "a row twice": b"ID,Label\ntrain_000.png,0\ntrain_000.png,0\n",
    "columns swapped": b"Label,ID\n0,train_000.png\n",
    "a column twice": b"ID,ID,Label\ntrain_000.png,x,0\n",
    "negative label": b"ID,Label\ntrain_000.png,-1\n",
    "label 1.5": b"ID,Label\ntrain_000.png,1.5\n",
    "label of many digits": b"ID,Label\ntrain_000.png," + b"9" * 5000 + b"\n",
    "label nan": b"ID,Label\ntrain_000.png,nan\n",
    "other digits": "ID,Label\ntrain_000.png,²\n".encode(),
    "header with BOM alone": b"\xef\xbb\xbfID,Label\r\n",
    "empty lines": b"\n\n\n",
    "no name": b"ID,Label\n,0\n",
    "a folder's name": b"ID,Label\n.,0\n",
    "an absolute path": b"ID,Label\n/etc/passwd,0\n",
    "a huge cell": b"ID,Label\n" + b"a" * 200000 + b",0\n",
    "a line break in a name": b'ID,Label\n"train\n_000.png",0\n',
    "a spreadsheet": b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0xl/workbook.xml",
}
FINE_TABLES: dict[str, bytes] = {
    "BOM and CRLF": b"\xef\xbb\xbfID,Label\r\n"
    + b"".join(b"train_%03d.png,%d\r\n" % (n, n % 6) for n in range(43)),
    "columns swapped": b"Label,ID\n"
    + b"".join(b"%d,train_%03d.png\n" % (n % 6, n) for n in range(43)),
}

# Variables of the environment that a person may have set, with which `fit` still works.
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "HOME that cannot be written": {"HOME": "/proc/none"},
    "a cache that cannot be made": {"XDG_CACHE_HOME": "/proc/none", "TORCH_HOME": "/proc/none"},
    "a cache that is a file": {"XDG_CACHE_HOME": "/dev/null", "TORCH_HOME": "/dev/null"},
    "junk WANDB_MODE": {"WANDB_MODE": "junk"},
    "junk COLUMNS": {"COLUMNS": "abc", "LINES": "x"},
    "LANG C": {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    "no TERM": {"TERM": ""},
    "MPLBACKEND junk": {"MPLBACKEND": "junk"},
    "MPLCONFIGDIR that cannot be made": {"MPLCONFIGDIR": "/proc/none"},
    "TMPDIR that is not there": {"TMPDIR": "/proc/none"},
}
PREDICT_DIRS: dict[str, Spoil] = {
    "a text": write_bytes("x", b"hello"),
    "a table": write_bytes("x.csv", b"ID,Label\n"),
    "an empty folder": lambda here: (here / "x").mkdir(),
    "a link to nothing": lambda here: (here / "x").symlink_to(here / "nothing"),
    "a folder of folders": lambda here: (here / "x/y").mkdir(parents=True),
    "a folder of texts": write_bytes("x/a.txt", b"hello"),
}
