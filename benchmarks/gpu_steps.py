"""Training steps a second on a GPU, beside what its memory and arithmetic allow.

python benchmarks/gpu_steps.py
python benchmarks/gpu_steps.py --checkout ../before --modes eager

Each config trains on the built-in sample through the real command line, without validation: eager,
and with ``--compile``. "Graph" is one captured CUDA graph of forward, backward and fused optimizer
in a bare loop on one batch: what is left to gain. One eager step is counted: operations (calls into
torch that are no views, so about as many kernels), FLOPs (`torch.utils.flop_counter`), and bytes,
each operation's inputs and outputs once. "Floor" is the larger of FLOPs and bytes over the rates of
a bf16 matrix product and a copy, measured first; "of floor" is its share of a step. "Busy" is what
``nvidia-smi`` calls utilization. Last, the whole of ``fit`` for ``aoi`` with 2,528 images and ten
epochs, imports left out. Made for six minutes; ``--steps 3 --warm-up 1`` runs anywhere.
Prints Markdown.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

CONFIGS = ["vessels_best", "retina_best", "blots", "blots_style", "aoi_best", "vessels", "retina"]
MODES = ["eager", "default", "reduce-overhead", "graph"]
AOI_IMAGES = 2528


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], repeats: int = 10) -> float:
    """Mean seconds of a call."""
    call()
    synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    synchronize()
    return (time.perf_counter() - start) / repeats


def rates(device: str) -> tuple[float, float]:
    """FLOPs a second of a bf16 matrix product, and bytes a second of a copy."""
    side, size = (8192, 2**30) if device == "cuda" else (512, 2**24)
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    x = torch.randn(size // 4, device=device)
    y = torch.empty_like(x)
    return 2 * side**3 / seconds(lambda: a @ b), 2 * size / seconds(lambda: y.copy_(x))


class Operations(TorchDispatchMode):
    """Counts operations that are no views, and the bytes that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.bytes = 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = {x.data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        if func._schema.is_mutable or any(x.data_ptr() not in inputs for x in made):
            self.count += 1
            tensors = [x for x in tree_leaves((args, kwargs, made)) if isinstance(x, Tensor)]
            self.bytes += sum(x.nbytes for x in tensors)
        return result


class Steps(Callback):
    """Times steps within epochs after a warm-up, counts one of the warm-up, and stops."""

    def __init__(self, warm_up: int, steps: int, count: bool) -> None:
        self.warm_up, self.steps, self.count = warm_up, steps, count
        self.done, self.spent, self.timed = 0, 0.0, 0
        self.operations, self.flops = Operations(), FlopCounterMode(display=False)
        self.last: float | None = None
        self.busy: list[int] = []
        self.batch: Any = None
        self._counting = ExitStack()

    def on_train_epoch_start(self, *_: object) -> None:
        self.last = None

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self._counting.close()
        self.done, self.batch = self.done + 1, args[2]
        if self.done in (self.warm_up, self.warm_up + self.steps):
            synchronize()
        now = time.perf_counter()
        if self.done > self.warm_up and self.last is not None:
            self.spent, self.timed = self.spent + now - self.last, self.timed + 1
        if self.done % 50 == 0:
            with suppress(Exception):  # needs a GPU and nvidia-ml-py
                self.busy.append(torch.cuda.utilization())
        if self.count and self.done == 1:
            self._counting.enter_context(self.flops)
            self._counting.enter_context(self.operations)
        trainer.should_stop = self.timed >= self.steps
        self.last = time.perf_counter()


def train(config: str, mode: str, steps: Steps, root: Path, more: list[str]) -> Any:
    """The finished command line."""
    import cli

    args = [f"--config=configs/{config}.yaml", f"--run.root={root}", "--run.wandb=disabled"]
    args += ["--trainer.max_epochs=100000", "--trainer.limit_val_batches=0"]
    args += ["--trainer.num_sanity_val_steps=0", "--trainer.enable_progress_bar=false"]
    args += [f"--compile={mode}"] if mode != "eager" else []
    made = cli.CLI("fit", [*args, *more])
    callbacks: list[Any] = made.trainer.callbacks  # type: ignore[attr-defined]
    kept = ("WeightAverage", "ConvolutionLayout", "Compilation", "NonFiniteGuard", "EpochSeed")
    callbacks[:] = [*(c for c in callbacks if type(c).__name__ in kept), steps]
    made.trainer.fit(made.model, datamodule=made.datamodule)
    return made


def graph_seconds(made: Any, batch: Any) -> float:
    """A captured step of a model with one network, on one batch."""
    module, images = made.model, batch["image"]
    target = batch.get("target", images)
    weights = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, 1e-4, fused=True, capturable=True)

    def step() -> None:
        optimizer.zero_grad()
        with made.trainer.precision_plugin.forward_context():
            output = module.network(images).float()
        module.loss(output, target.float() if output.dim() == 4 else target).backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return seconds(graph.replay, 200)


def rows(config: str, options: argparse.Namespace, limits: tuple[float, float]) -> Iterator[str]:
    """A row of the table for each mode."""
    floor, counted = 0.0, " | | | "
    made: Any = None
    batch: Any = None
    more = ["--data.cache_features=false"] if config.startswith("aoi") else []
    for mode in options.modes:
        steps = Steps(options.warm_up, options.steps, count=mode == "eager")
        try:
            if mode != "graph":
                with tempfile.TemporaryDirectory() as root:
                    made = train(config, mode, steps, Path(root), [*more, *options.more])
                took, batch = steps.spent / steps.timed, steps.batch
            elif hasattr(made.model, "network"):
                took = graph_seconds(made, batch)
            else:
                continue
        except Exception as error:
            reason = " ".join(str(error).split())[:150]
            yield f"| {config} | {mode} | {type(error).__name__}: {reason} |"
            continue
        if mode == "eager":
            flops, size = steps.flops.get_total_flops(), steps.operations.bytes
            floor = max(flops / limits[0], size / limits[1])
            counts = f"{flops / 1e9:.2f} | {size / 1e9:.2f}"
            counted = f"{steps.operations.count} | {counts} | {floor * 1e6:.0f}"
        busy = f"{sum(steps.busy) / len(steps.busy):.0f} %" if steps.busy else "-"
        rate = f"{1 / took:.1f} | {took * 1e3:.2f}"
        yield f"| {config} | {mode} | {rate} | {counted} | {floor / took:.1%} | {busy} |"
        torch._dynamo.reset()


def whole_aoi(images: int) -> float:
    """Seconds of ``fit`` of the ``aoi`` config with ten epochs."""
    from scaling import repeated

    import cli
    from datamodules.aoi import AOIDataModule

    sample = AOIDataModule().folder
    with tempfile.TemporaryDirectory() as name:
        each = len(list((sample / "train_images").iterdir()))
        repeated(sample, Path(name, "data"), -(-images // each))
        args = ["--config=configs/aoi.yaml", f"--data.data_dir={name}/data", "--run.wandb=disabled"]
        args += [f"--run.root={name}", "--model.network.weights=random"]
        args += [f"--data.num_workers={min(12, torch.get_num_threads())}"]
        start = time.perf_counter()
        cli.main(["fit", *args])
        return time.perf_counter() - start


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--aoi-images", type=int, default=AOI_IMAGES, help="0: leave it out")
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parent.parent)
    options, options.more = parser.parse_known_args()
    sys.path.insert(0, str(options.checkout.resolve()))
    logging.disable(logging.WARNING)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    limits = rates(device)
    print(f"{name}, torch {torch.__version__}; {limits[0] / 1e12:.1f} TFLOP/s in bf16, ", end="")
    print(f"{limits[1] / 1e9:.0f} GB/s\n")
    print(
        "| config | mode | steps/s | ms | operations | GFLOP | GB | floor, us | of floor | busy |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for config in options.configs:
        for row in rows(config, options, limits):
            print(row, flush=True)
    if options.aoi_images:
        print(f"\n`aoi`, ten epochs, {options.aoi_images} images: ", end="", flush=True)
        print(f"{whole_aoi(options.aoi_images):.1f} s")


if __name__ == "__main__":
    main()
