"""Images per second: of the networks by backend, or of the ways to use a trained run.

python benchmarks/inference.py
python benchmarks/inference.py --run RUN --images FOLDER [--count 200]

Networks: eager, torch.compile and ONNX Runtime, with random weights. Each case is a process of its
own, so that its peak memory is its own: of the whole process (resident set), and above what it took
before the first batch. With ``--run``, from image files to answers on the CPU in float32, decoding
included: `load` in a loop and on a folder, the same of an exported ONNX, and the programs
``cli.py predict`` and ``infer_onnx.py``, whose start counts and whose answers are files; images are
linked under new names until there are ``--count``. Prints Markdown. Needs the extra ``bench``.
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


def ways(run: Path, folder: Path, scratch: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each way to use a run on a folder, ready to be timed."""
    from inference import export, load

    def program(*command: str) -> None:
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")

    model = load(run, device="cpu", precision="32-true")
    exported = export.export(run, "onnx", scratch / "export")
    onnx = load(exported / "model.onnx")
    yield "`load(RUN).predict`, one by one", lambda: [model.predict(p) for p in folder.iterdir()]
    yield "`load(RUN).predict`", lambda: list(model.predict(folder))
    yield '`load("model.onnx").predict`', lambda: list(onnx.predict(folder))
    predict = ["cli.py", "predict", f"--config={run / 'config.yaml'}", f"--ckpt_path={run}"]
    predict += [f"--data.predict_dir={folder}", f"--output={scratch / 'predicted'}"]
    predict += ["--trainer.accelerator=cpu", "--trainer.precision=32-true"]
    yield "`cli.py predict`", lambda: program(*predict)
    infer = [str(exported / "infer_onnx.py"), str(folder), f"--output={scratch / 'inferred'}"]
    yield "`infer_onnx.py`", lambda: program(*infer)


def compare_ways(run: Path, images: Path, count: int) -> None:
    """Print the table of the ways."""
    hardware.tune_process()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = scratch / "images"
        folder.mkdir()
        for number, path in enumerate(islice(cycle(sorted(images.iterdir())), count)):
            os.symlink(path.resolve(), folder / f"{number:05d}_{path.name}")
        print(f"{count} images\n\n| way | seconds | images/s |\n|---|---|---|", flush=True)
        for way, call in ways(run.resolve(), folder, scratch):
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            print(f"| {way} | {seconds:.1f} | {count / seconds:.1f} |", flush=True)


def main() -> None:
    """Print a table, or with ``--case`` one case as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=[*INPUTS], choices=[*INPUTS])
    parser.add_argument("--case", nargs=2, metavar=("NETWORK", "BACKEND"))
    parser.add_argument("--run", type=Path, help="folder of a finished training")
    parser.add_argument("--images", type=Path, help="a folder of images and nothing else")
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(*options.case)))
    elif options.run:
        compare_ways(options.run, options.images, options.count)
    else:
        compare_backends(options.networks)


if __name__ == "__main__":
    main()
