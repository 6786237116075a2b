"""Train, validate, test and use one of the four image tasks.

python cli.py fit --config configs/aoi.yaml
python cli.py fit --config configs/aoi.yaml --data.data_dir my/images --trainer.max_epochs 20
python cli.py fit --config configs/aoi.yaml --ckpt_path last        # go on where it stopped
python cli.py test --config configs/aoi.yaml --ckpt_path best       # of the newest run, or a file
python cli.py predict --config configs/aoi.yaml --ckpt_path best --data.predict_dir my/new
python cli.py compare runs/aoi/*                               # one page over several runs

`python cli.py fit --help` lists every option, `python cli.py fit --model.help
lit_models.DefectClassifier` those of a class; the files in configs/ are what to begin with.
"""

import sys

if __name__ == "__main__" and sys.argv[1:] in ([], ["-h"], ["--help"]):
    # Before the imports, which take longer than reading the answer.
    print(__doc__)
    sys.exit()

import logging
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI

from callbacks import compare
from callbacks.epoch_seed import EpochSeed
from callbacks.hardware import (
    ConvolutionLayout,
    MemoryFormat,
    ask_cuda_directly,
    keep_freed_memory,
    native_precision,
)
from callbacks.progress import progress_bar
from callbacks.report import Report
from callbacks.run_folder import Run, find_checkpoint, open_run_folder
from callbacks.run_record import RunRecord
from callbacks.tracking import MetricsCSV
from datamodules.errors import DataError

log = logging.getLogger(__name__)


class CLI(LightningCLI):
    """LightningCLI whose runs each have a folder of their own (see ``Run``)."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_class_arguments(Run, "run")
        parser.add_argument(
            "--memory_format",
            type=MemoryFormat,
            default="auto",
            help="of convolutions; auto picks the faster one on this hardware",
        )
        parser.add_argument(
            "--keep_freed_memory",
            type=bool,
            default=True,
            help="reuse large blocks of host memory; faster on a CPU, the process keeps its peak",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        super().parse_arguments(parser, args)
        config = self._stage_config
        if config.ckpt_path in ("last", "best"):
            config.ckpt_path = str(find_checkpoint(Run(**config.run.as_dict()), config.ckpt_path))
        elif config.ckpt_path is not None and not Path(config.ckpt_path).is_file():
            raise DataError(f"{config.ckpt_path}: no such checkpoint; give a file, last or best")
        elif config.ckpt_path is None and self.config.subcommand != "fit":
            raise DataError(f"{self.config.subcommand} needs --ckpt_path: a file, last or best")
        if self.config.subcommand == "predict" and config.return_predictions is None:
            config.return_predictions = False  # they are in files; kept, they grow with the data

    def _parse_ckpt_path(self) -> None:
        """As Lightning does, but say where the checkpoint's hyperparameters overrule the config."""
        given = self._stage_config.model.init_args.clone()
        super()._parse_ckpt_path()
        model = self._stage_config.model
        model.init_args = Namespace(model.init_args, **(model.pop("dict_kwargs", None) or {}))
        for name, value in vars(model.init_args).items():
            if name in given and given[name] != value:
                log.warning("model.%s is the checkpoint's %r, not %r", name, value, given[name])

    def before_instantiate_classes(self) -> None:
        config = self._stage_config
        ask_cuda_directly()
        if config.trainer.precision is None:
            config.trainer.precision = native_precision(config.trainer.accelerator)
        if config.keep_freed_memory and keep_freed_memory():
            log.info("freed memory is kept for reuse (--keep_freed_memory false returns it)")

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config = self._stage_config
        run = Run(**config.run.as_dict())
        folder = open_run_folder(run, Path(config.ckpt_path) if config.ckpt_path else None)
        self.save_config_kwargs = {"run": run}
        self.trainer_defaults["callbacks"] = [
            EpochSeed(int(config.seed_everything)),
            ConvolutionLayout(config.memory_format),
            # Each epoch, unlike ModelCheckpoint(save_last=True), which waits for a better one.
            ModelCheckpoint(filename="last", enable_version_counter=False),
        ]
        if config.trainer.enable_progress_bar is not False:
            self.trainer_defaults["callbacks"].append(progress_bar(config.run.task))
        self.trainer_defaults["callbacks"].append(Report())  # the last word, below the bars
        trainer = super().instantiate_trainer(
            logger=MetricsCSV(folder), default_root_dir=str(folder), **kwargs
        )
        # First, so that the record stands when others write; ModelCheckpoint stays last.
        trainer.callbacks.sort(key=lambda callback: not isinstance(callback, RunRecord))  # type: ignore[attr-defined]
        return trainer

    @property
    def _stage_config(self) -> Namespace:
        return self.config[self.config.subcommand]


def main(args: ArgsType = None) -> CLI:
    """Run the command line ``args`` (default: the process's own) and return the finished CLI.

    Raises:
        DataError: bad input, in one line.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    # A frozen backbone is in eval mode on purpose; the other is between Lightning and torch.
    warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")
    warnings.filterwarnings("ignore", r".*LeafSpec")
    warnings.filterwarnings("ignore", r"Precision bf16-mixed is not supported by the model summary")
    warnings.filterwarnings("ignore", r"You're using the WeightAveraging callback, but loading")
    # Lightning's advertisement.
    lightning_log = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    lightning_log.addFilter(lambda record: "litlogger" not in record.getMessage())
    return CLI(
        save_config_callback=RunRecord,
        trainer_defaults={"use_distributed_sampler": False},
        seed_everything_default=42,
        auto_configure_optimizers=False,
        parser_kwargs={
            "description": "Train, validate, test and use one of the four image tasks. "
            "`cli.py compare runs/TASK/*` writes one page over several runs."
        },
        subclass_mode_model=True,
        subclass_mode_data=True,
        model_class=pl.LightningModule,
        datamodule_class=pl.LightningDataModule,
        args=args,
    )


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["compare"]:
            compare.main(sys.argv[2:])
        else:
            main()
    except DataError as error:
        sys.exit(f"error: {error}")
