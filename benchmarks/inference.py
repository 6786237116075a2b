"""Images per second and peak memory of the networks: eager, torch.compile, ONNX Runtime.

python benchmarks/inference.py

Random weights; the numbers do not depend on them. Each case is a process of its own, so that its
peak memory is its own: of the whole process (resident set), and above what it took before the
first batch. Prints Markdown. ONNX Runtime needs the extra ``bench``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from probes import peak_memory

from experiment.hardware import (
    FORMATS,
    keep_freed_memory,
    native_memory_format,
    native_precision,
)

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


def network(name: str) -> nn.Module:
    """The network of a config, in eval mode."""
    if name == "aoi":
        from torchvision.models import resnet18

        return resnet18(num_classes=6).eval()
    if name.startswith("vessels"):
        from lit_models.networks import ResidualUNet, UNet

        return (ResidualUNet() if name == "vessels_best" else UNet()).eval()
    if name.startswith("retina"):
        from lit_models.networks import AutoEncoder

        best = name == "retina_best"
        widths, norm = ((16, 32, 64, 128), "none") if best else ((64, 128, 256, 512), "batch")
        return AutoEncoder(3, widths, norm=norm).eval()  # type: ignore[arg-type]
    from lit_models.networks import ReferenceGenerator

    return ReferenceGenerator().eval()


@torch.inference_mode()
def measure(name: str, backend: str) -> dict[str, float]:
    """Images per second, seconds of the first batch, peak memory."""
    model, x = network(name), torch.randn(INPUTS[name])
    before, start = peak_memory(), time.perf_counter()
    if backend == "onnxruntime":
        run = onnx_session(model, x)
    else:
        bf16 = backend != "plain" and native_precision("cpu") == "bf16-mixed"
        if backend != "plain":
            keep_freed_memory()
            layout = FORMATS[native_memory_format(x.device)]
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
    return {
        "rate": len(x) / median(seconds),
        "first": first,
        "peak": peak_memory(),
        "before": before,
    }


def onnx_session(model: nn.Module, x: Tensor):  # noqa: ANN201 (a closure)
    """A call of the network through ONNX Runtime."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/network.onnx"
        torch.onnx.export(model, (x,), path, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name, array = session.get_inputs()[0].name, x.numpy()
    return lambda: session.run(None, {name: array})


def main() -> None:
    """Print the table, or with ``--case`` one case as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    networks = ["aoi", "vessels", "vessels_best", "retina", "blots"]
    parser.add_argument("--networks", nargs="+", default=networks, choices=list(INPUTS))
    parser.add_argument("--case", nargs=2, metavar=("NETWORK", "BACKEND"))
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(*options.case)))
        return
    print("| network | input | backend | images/s | first batch | peak memory (above start) |")
    print("|---|---|---|---|---|---|")
    for name in options.networks:
        for backend in BACKENDS:
            command = [sys.executable, __file__, "--case", name, backend]
            done = subprocess.run(command, capture_output=True, text=True)
            head = f"| {name} | {'x'.join(map(str, INPUTS[name]))} | {backend} | "
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1][:120]
                print(f"{head}failed: {reason} | | |", flush=True)
                continue
            case = json.loads(done.stdout.splitlines()[-1])
            memory = f"{case['peak']:.2f} GiB (+{case['peak'] - case['before']:.2f})"
            print(f"{head}{case['rate']:.1f} | {case['first']:.1f} s | {memory} |", flush=True)


if __name__ == "__main__":
    main()
