"""Lightning's callbacks and Trainer options with each config: does a run work, or why not?

python benchmarks/lightning_options.py                                   # the table of docs/faq.md
python benchmarks/lightning_options.py --configs aoi --only Timer max_steps

Small runs of two epochs on the built-in sample. "works": status 0 and a checkpoint that `validate`
takes. "refused": one line that says why. Anything else is a bug, and the exit status 1.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import forked
from tests import tiny_network  # noqa: F401  # known by its name from now on
from tests.conftest import CONFIGS, config_args

TRAINER = {
    "accumulate_grad_batches": ["2"],
    "barebones": ["true"],
    "check_val_every_n_epoch": ["2"],
    "detect_anomaly": ["true"],
    "deterministic": ["true"],
    "enable_checkpointing": ["false"],
    "enable_model_summary": ["false"],
    "enable_progress_bar": ["true"],
    "fast_dev_run": ["true"],
    "gradient_clip_val": ["1.0"],
    "inference_mode": ["false"],
    "limit_train_batches": ["1"],
    "limit_val_batches": ["0", "1"],
    "log_every_n_steps": ["1"],
    "logger": ["CSVLogger"],
    "max_steps": ["1", "3"],
    "max_time": ["00:00:00:01"],
    "min_epochs": ["1"],
    "num_sanity_val_steps": ["2"],
    "overfit_batches": ["1"],
    "precision": ["64-true", "bf16-true", "bf16-mixed", "16-true", "16-mixed"],
    "profiler": ["simple"],
    "reload_dataloaders_every_n_epochs": ["1"],
    "sync_batchnorm": ["true"],
    "val_check_interval": ["0.5", "1"],
}
CALLBACKS: dict[str, dict[str, str]] = {
    "BatchSizeFinder": {"max_trials": "1"},
    "DeviceStatsMonitor": {},
    "EarlyStopping": {"monitor": "MONITOR"},
    "EMAWeightAveraging": {"decay": "0.9"},
    "GradientAccumulationScheduler": {"scheduling": "{0: 2}"},
    "LearningRateFinder": {"num_training_steps": "2"},
    "LearningRateMonitor": {},
    "ModelCheckpoint": {"every_n_epochs": "1"},
    "ModelPruning": {"pruning_fn": "l1_unstructured"},
    "OnExceptionCheckpoint": {"dirpath": "kept"},
    "RichModelSummary": {},
    "SpikeDetection": {},
    "StochasticWeightAveraging": {"swa_lrs": "0.001", "swa_epoch_start": "1"},
    "TQDMProgressBar": {},
    "Timer": {"duration": "00:01:00:00"},
}


def cases(config: str) -> dict[str, list[str]]:
    """Arguments of each option by its name in the table."""
    monitor = "val/ssim" if config.startswith("blots") else "val/loss"
    found = {
        f"`{name}: {value}`": [f"--trainer.{name}={value}"]
        for name, values in TRAINER.items()
        for value in values
    }
    for name, options in CALLBACKS.items():
        args = [f"--trainer.callbacks+={name}"]
        args += [
            f"--trainer.callbacks.{k}={v.replace('MONITOR', monitor)}" for k, v in options.items()
        ]
        if name == "TQDMProgressBar":
            args.append("--trainer.enable_progress_bar=true")
        found[f"`{name}`"] = args
    return found


def tried(config: str, args: list[str]) -> str:
    """ "works", "refused: ..." or "BUG: ..."."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        plain = config_args(config, root, "--run.name=run", "--run.wandb=disabled")
        done = forked.run(["fit", *plain, "--trainer.max_epochs=2", *args], root, timeout=180)
        lines = done.output.strip().splitlines() or [""]
        if (
            done.status in (1, 2)
            and lines[-1].startswith("error: ")
            and "Traceback" not in done.output
        ):
            return f"refused: {lines[-1].removeprefix('error: ')}"
        if done.status:
            return f"BUG: {lines[-1]}"
        if not list(root.glob("*/run/checkpoints/*.ckpt")):
            return "works, keeps no checkpoint"
        done = forked.run(["validate", *plain, "--ckpt_path=best"], root, timeout=120)
        return "works" if done.status == 0 else f"BUG: validate: {done.output.strip()[-200:]}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configs", nargs="+", default=CONFIGS, choices=CONFIGS)
    parser.add_argument("--only", nargs="+", help="parts of names")
    options = parser.parse_args()
    bugs = 0
    print("| option | works with | else |\n|---|---|---|")
    for name in cases(options.configs[0]):
        if options.only and not any(part in name for part in options.only):
            continue
        answers: dict[str, list[str]] = {}
        for config in options.configs:
            answers.setdefault(tried(config, cases(config)[name]), []).append(config)
        working = answers.pop("works", [])
        shown = "all" if len(working) == len(options.configs) else ", ".join(working) or "-"
        others = "; ".join(f"{', '.join(which)}: {why}" for why, which in answers.items())
        others = re.sub(r"/\S*/", "", others).replace("|", "/")
        print(f"| {name} | {shown} | {others} |", flush=True)
        bugs += "BUG" in others
    sys.exit(bool(bugs))


if __name__ == "__main__":
    main()
