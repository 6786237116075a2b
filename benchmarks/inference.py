"""Images per second: of the networks by backend, and of the ways to use a trained model.

python benchmarks/inference.py
python benchmarks/inference.py --run RUN --data_dir FOLDER --images FOLDER [--count 100]

Networks: eager, torch.compile and ONNX Runtime, with random weights. Each case is a process of its
own, so that its peak memory is its own: of the whole process (resident set), and above what it took
before the first batch. With ``--run``, from image files to answers on the CPU, decoding included:
the programs ``cli.py predict``, ``infer_onnx.py`` and ``infer_openvino.py``, whose start counts and
whose answers are files, and `load` on a folder and on one image (the median of three); images are
linked under new names until there are ``--count``. "Differs" is from ``load`` in float32. On a busy
machine processor time tells more. ``--data_dir`` has the validation images for 8 bits. Prints
Markdown. Needs the extra ``bench``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from probes import peak_memory

from experiment import hardware

ROOT = Path(__file__).parent.parent
# Batch and shape of the networks' input.
INPUTS = {
    "aoi": (32, 3, 224, 224),
    "vessels": (1, 1, 512, 512),
    "vessels_best": (1, 3, 592, 576),
    "retina": (1, 3, 512, 512),
    "retina_best": (1, 3, 512, 512),
    "blots": (32, 2, 64, 64),
}
BACKENDS = ("plain", "shipped", "compiled", "onnxruntime")


def network(config: str) -> nn.Module:
    """The network of a config, in eval mode."""
    path = ROOT / "configs" / f"{config}.yaml"
    model = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["init_args"]
    wanted = model.get("network") or model["generator"]
    module, _, name = wanted["class_path"].rpartition(".")
    settings = wanted.get("init_args", {})
    if config == "aoi":
        settings |= {"num_classes": 6, "weights": "random"}
    made: nn.Module = getattr(import_module(module), name)(**settings)
    return made.eval()


@torch.inference_mode()
def measure(config: str, backend: str) -> dict[str, float]:
    """Images per second, seconds of the first batch, peak memory."""
    model, x = network(config), torch.randn(INPUTS[config])
    before, start = peak_memory(), time.perf_counter()
    if backend == "onnxruntime":
        run = onnx_session(model, x)
    else:
        bf16 = backend != "plain" and hardware.native_precision("cpu") == "bf16-mixed"
        if backend != "plain":
            hardware.tune_process()
            layout = hardware.native_memory_format(x.device)
            model, x = model.to(memory_format=layout), x.contiguous(memory_format=layout)
        called = torch.compile(model) if backend == "compiled" else model

        def run() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                called(x)

    run()
    first = time.perf_counter() - start
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < 2:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    rate = len(x) / median(seconds)
    return {"rate": rate, "first": first, "peak": peak_memory(), "before": before}


def onnx_session(model: nn.Module, x: Tensor) -> Callable[[], object]:
    """A call of the network through ONNX Runtime."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/network.onnx"
        torch.onnx.export(model, (x,), path, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name, array = session.get_inputs()[0].name, x.numpy()
    return lambda: session.run(None, {name: array})


def compare_backends(configs: list[str]) -> None:
    """Print the table of the networks."""
    print("| network | input | backend | images/s | first batch | peak memory (above start) |")
    print("|---|---|---|---|---|---|")
    for config in configs:
        for backend in BACKENDS:
            command = [sys.executable, __file__, "--case", config, backend]
            done = subprocess.run(command, capture_output=True, text=True)
            head = f"| {config} | {'x'.join(map(str, INPUTS[config]))} | {backend} | "
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1][:120]
                print(f"{head}failed: {reason} | | |", flush=True)
                continue
            case = json.loads(done.stdout.splitlines()[-1])
            memory = f"{case['peak']:.2f} GiB (+{case['peak'] - case['before']:.2f})"
            print(f"{head}{case['rate']:.1f} | {case['first']:.1f} s | {memory} |", flush=True)


def ways(run: Path, data_dir: Path, folder: Path, scratch: Path) -> Iterator[tuple[str, Any]]:
    """Each way to use a run: a model, or a program that predicts the folder."""
    from inference import export, load

    def program(*command: object) -> Callable[[], None]:
        def call() -> None:
            line = [sys.executable, *map(str, command)]
            done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{' '.join(line)}\n{done.stderr[-2000:]}")

        return call

    yield "`load(RUN)`, float32", load(run, device="cpu", precision="32-true")
    native = hardware.native_precision("cpu")
    if native != "32-true":
        yield f"`load(RUN)`, {native}", load(run, device="cpu", precision=native)
    predict = ["cli.py", "predict", f"--ckpt_path={run}", f"--data.predict_dir={folder}"]
    predict += ["--trainer.accelerator=cpu", f"--output={scratch / 'predicted'}"]
    yield "`cli.py predict`", program(*predict)
    for kind, int8 in (("onnx", False), ("openvino", False), ("openvino", True)):
        name = f"{kind}, 8 bits" if int8 else kind
        out = export.export(run, kind, scratch / name, int8, data_dir)
        yield f"`load(...)`, {name}", load(out / export.FILES[kind])
        yield (
            f"`{export.RUNNERS[kind]}`, {name}",
            program(out / export.RUNNERS[kind], folder, f"--output={scratch / name / 'made'}"),
        )


def seconds_of(call: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor time of a call, and of the programs that it starts."""
    start = (time.perf_counter(), *os.times()[:4])
    call()
    wall, *processor = np.subtract((time.perf_counter(), *os.times()[:4]), start)
    return wall, sum(processor)


def compare_ways(run: Path, data_dir: Path, images: Path, count: int) -> None:
    """Print the table of the ways."""
    from inference.export import compare

    hardware.tune_process()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = scratch / "images"
        folder.mkdir()
        for number, path in enumerate(islice(cycle(sorted(images.iterdir())), count)):
            os.symlink(path.resolve(), folder / f"{number:05d}_{path.name}")
        first, expected, found = min(folder.iterdir()), list[Any](), list[Any]()
        print(f"{count} images\n\n| way | images/s | processor s per image | one image | differs |")
        print("|---|---|---|---|---|")
        for way, model in ways(run.resolve(), data_dir, folder, scratch):
            one = text = ""
            if callable(model):
                wall, processor = seconds_of(model)
            else:
                times = [seconds_of(lambda m=model: m.predict(first))[0] for _ in range(4)]
                one = f"{1000 * median(times[1:]):.0f} ms"
                wall, processor = seconds_of(lambda m=model: found.extend(m.predict(folder)))
                expected = expected or found[:]
                differences = compare(expected, found)
                found.clear()
                text = ", ".join(f"{name} {value:.2g}" for name, value in differences.items())
            rates = f"{count / wall:.2f} | {processor / count:.2f}"
            print(f"| {way} | {rates} | {one} | {text} |", flush=True)


def main() -> None:
    """Print a table, or with ``--case`` one case as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=[*INPUTS], choices=[*INPUTS])
    parser.add_argument("--case", nargs=2, metavar=("NETWORK", "BACKEND"))
    parser.add_argument("--run", type=Path, help="a finished training, or its checkpoint")
    parser.add_argument("--data_dir", type=Path, help="its data, if they were moved")
    parser.add_argument("--images", type=Path, help="a folder of images and nothing else")
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(*options.case)))
    elif options.run:
        compare_ways(options.run, options.data_dir, options.images, options.count)
    else:
        compare_backends(options.networks)


if __name__ == "__main__":
    main()
