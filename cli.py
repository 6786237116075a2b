"""Train, validate, test and use one of the four image tasks.

python cli.py fit --config configs/aoi.yaml
python cli.py fit --config configs/aoi.yaml --data.data_dir my/images --trainer.max_epochs 20
python cli.py fit --config configs/aoi.yaml --ckpt_path last        # go on where it stopped
python cli.py test --config configs/aoi.yaml --ckpt_path best       # newest run's, or a run, a file
python cli.py predict --config configs/aoi.yaml --ckpt_path best --data.predict_dir my/new
python cli.py crossval --config configs/aoi.yaml --folds 5     # each image is held out once
python cli.py compare runs/aoi/*                               # one page over several runs
python cli.py export --config configs/aoi.yaml --ckpt_path best     # one ONNX file, see README
python cli.py demo --config configs/aoi.yaml --ckpt_path best       # a page to try it on
python cli.py compress my/photos --output small                # fundus photographs as AVIF files

`python cli.py fit --help --config configs/aoi.yaml` lists every option; the files in configs/ are
what to begin with.
"""

import sys

if __name__ == "__main__" and sys.argv[1:] in ([], ["-h"], ["--help"]):
    # Before the imports, which take longer than reading the answer.
    print(__doc__)
    sys.exit()

import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from jsonargparse import Namespace
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI

from callbacks.run_recorder import RunRecorder
from callbacks.standard import sort_callbacks, standard_callbacks
from common.errors import DataError
from experiment import compare, crossval
from experiment.arguments import UsageError
from experiment.checkpoint import (
    check_not_finished,
    check_same_method,
    check_weights_fit,
    read_checkpoint,
)
from experiment.checkpoint_io import AtomicCheckpointIO
from experiment.checkpoint_settings import checkpoint_settings, log_overrides
from experiment.ensemble import check_members, member_paths, share_validation, temperatures
from experiment.exits import as_constructors_raise, one_line_of, run_and_exit
from experiment.hardware import (
    MemoryFormat,
    ask_cuda_directly,
    keep_freed_memory,
    native_precision,
)
from experiment.metrics_csv import MetricsCSV
from experiment.noise import filter_warnings
from experiment.option_errors import OneLineParser
from experiment.option_help import print_help
from experiment.provenance import git_revision
from experiment.ranged_trainer import RangedTrainer
from experiment.run_folder import (
    RunSettings,
    discard_run_folder,
    find_checkpoint,
    results_folder,
)
from experiment.torch_ranges import check_torch_ranges
from experiment.value_checks import check_config_classes, check_values
from experiment.wandb_run import finish_wandb
from lit_models.networks.pretrained import read_state
from lit_models.postprocessing.ensemble import join

log = logging.getLogger(__name__)

CONFIGS = Path(__file__).resolve().parent / "configs"


class CLI(LightningCLI):
    """LightningCLI whose runs each have a folder of their own, see `RunSettings`."""

    def __init__(self, *, args: ArgsType, **kwargs: Any) -> None:
        # Each parser takes a fifth of a second to make.
        every, given = self.subcommands(), [*(sys.argv[1:] if args is None else args), ""]  # type: ignore[misc]
        asked = {name: every[name] for name in every if name == given[0]}
        self.subcommands = lambda: asked or every  # type: ignore[method-assign]
        super().__init__(args=args, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_class_arguments(RunSettings, "run")
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
        parser.add_argument(
            "--output",
            type=str | None,
            default=None,
            help="new folder for what predict writes; predictions/ in the run's folder by default",
        )
        parser.add_argument(
            "--from_scratch",
            type=str | None,
            default=None,
            help="config in configs/ that is added where, on the built-in sample, the network's "
            "pretrained weights cannot be had",
        )
        parser.link_arguments("data.init_args.class_names", "model.init_args.class_names")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        given = [str(arg) for arg in (sys.argv[1:] if args is None else args)]  # type: ignore[union-attr]
        if any(arg.startswith("--model.class_names") for arg in given):
            raise UsageError("model.class_names: are linked to the data's; give data.class_names")
        if {"-h", "--help"} & {*given} and any(arg.startswith(("-c", "--config")) for arg in given):
            super().parse_arguments(parser, [arg for arg in given if arg not in ("-h", "--help")])
            print_help(parser, self.config)
            sys.exit()
        super().parse_arguments(parser, args)
        check_torch_ranges(self._stage_config.as_dict())
        check_values(self._stage_config, self.config.subcommand)
        check_config_classes(self._stage_config)
        self._add_from_scratch(parser, args)
        config = self._stage_config
        self._ckpt_path: str | None = config.ckpt_path
        self._members: list[Path] = []  # several: an ensemble, of which the first leads
        if config.ckpt_path in ("last", "best"):
            run = RunSettings(**config.run.as_dict())
            self._members = [find_checkpoint(run, config.ckpt_path)]
        elif config.ckpt_path is not None:
            which: Literal["last", "best"] = "last" if self.config.subcommand == "fit" else "best"
            self._members = member_paths(config.ckpt_path, which)
        elif self.config.subcommand != "fit":
            raise DataError(f"{self.config.subcommand} needs --ckpt_path: best, last, a run, file")
        # Lightning would let the checkpoint overrule all of the model's options; see below.
        config.ckpt_path = None
        if self._members:
            self._take_from_checkpoints(parser)

    def _take_from_checkpoints(self, parser: LightningArgumentParser) -> None:
        """Let the (first) checkpoint say how the model is built and what it is fed.

        Of the model that is all but ``inference``, which validate, test and predict may set; of the
        data all but what belongs to the machine or the run
        (``ImageDataModule.NOT_FROM_CHECKPOINT``). What is overruled is named in the log.
        """
        subcommand, given = self.config.subcommand, self._stage_config.clone()
        if subcommand == "fit" and len(self._members) > 1:
            raise UsageError("ckpt_path: fit goes on from one checkpoint, not several; give one")
        self._checkpoints = [read_checkpoint(path) for path in self._members]
        path, checkpoint = self._members[0], self._checkpoints[0]
        check_members(self._members, self._checkpoints)
        if subcommand == "validate" and not share_validation(self._checkpoints):
            log.warning("%s: others trained on its validation images; this score flatters", path)
        inference = given.model.init_args.get("inference")
        self._temperatures = temperatures(
            self._checkpoints, inference and inference.get("temperature")
        )
        check_same_method(path, checkpoint, given.model.class_path)
        settings = checkpoint_settings(path, checkpoint, given, keep_inference=subcommand == "fit")
        whole = self.config.clone().as_dict()
        for part, init_args in settings.items():
            whole[subcommand][part]["init_args"] |= init_args
        whole[subcommand]["model"]["init_args"].pop("class_names", None)  # linked to the data's
        self.config = parser.parse_object(whole)
        log_overrides(given, self._stage_config)
        if subcommand == "fit":
            check_not_finished(path, checkpoint, self._stage_config.trainer.max_epochs)

    def _add_from_scratch(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        config = self._stage_config
        training = self.config.subcommand == "fit" and config.ckpt_path is None
        if config.from_scratch is not None and not (CONFIGS / config.from_scratch).is_file():
            raise UsageError(f"from_scratch: {CONFIGS / config.from_scratch}: no such file")
        if not training or config.from_scratch is None or config.data.init_args.get("data_dir"):
            return
        network = config.model.init_args.network.init_args
        if network.get("weights", "random") == "random":
            return
        try:
            read_state(network.name, network.weights)
        except DataError as error:
            log.warning("RANDOM WEIGHTS in place of ImageNet's: %s", error)
            path = CONFIGS / config.from_scratch
            log.warning("trained from scratch instead, as with --config %s", path)
            given = sys.argv[1:] if args is None else list(args)  # type: ignore[arg-type]
            self.config = parser.parse_args([*given, f"--config={path}"])

    def before_instantiate_classes(self) -> None:
        config = self._stage_config
        config.ckpt_path = str(self._members[0]) if self._members else None
        if self.config.subcommand == "predict" and config.return_predictions is None:
            config.return_predictions = False  # they are in files; kept, they grow with the data
        ask_cuda_directly()
        if config.trainer.precision is None:
            config.trainer.precision = native_precision(config.trainer.accelerator)
        if config.keep_freed_memory and keep_freed_memory():
            log.info("freed memory is kept for reuse (--keep_freed_memory false returns it)")

    def instantiate_classes(self) -> None:
        with as_constructors_raise():
            super().instantiate_classes()

    def after_predict(self) -> None:
        """Say at the end, and by the exit status, that some images are missing."""
        next(c for c in self.trainer.callbacks if isinstance(c, RunRecorder)).check_skipped()  # type: ignore[attr-defined]

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config, fitting = self._stage_config, self.config.subcommand == "fit"
        run, predicting = RunSettings(**config.run.as_dict()), self.config.subcommand == "predict"
        self._load_members()
        folder = results_folder(run, self._ckpt_path, self._members, predicting)
        self.save_config_kwargs = {
            "run": run,
            "folder": folder,
            "output": Path(config.output).expanduser() if config.output else None,
            "ensemble": (self._ckpt_path, self._members) if len(self._members) > 1 else None,
        }
        self.trainer_defaults["callbacks"] = standard_callbacks(config, run.task)
        logger = MetricsCSV(folder) if fitting else False
        plugins = [
            *(self.config_init[self.config.subcommand].trainer.plugins or []),
            AtomicCheckpointIO(),
        ]
        try:
            with one_line_of(Exception, option="trainer"):
                trainer = super().instantiate_trainer(logger=logger, plugins=plugins, **kwargs)
        except DataError:
            discard_run_folder(folder)
            raise
        sort_callbacks(trainer)
        return trainer

    def _load_members(self) -> None:
        """Check the weights, and put an ensemble in the network's place where there are several."""
        checkpoints = self._checkpoints if self._members else []
        for path, checkpoint in zip(self._members, checkpoints, strict=True):
            check_weights_fit(path, checkpoint, self.model)
        if len(checkpoints) > 1:
            states = [checkpoint["state_dict"] for checkpoint in checkpoints]
            join(self.model, states, self._temperatures, self._members[0])
        self._checkpoints = []

    @property
    def _stage_config(self) -> Namespace:
        return self.config[self.config.subcommand]


def main(args: ArgsType = None) -> CLI:
    """Run the command line ``args`` (default: the process's own) and return the finished CLI.

    Raises:
        DataError: bad input, in one line.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    filter_warnings()
    with one_line_of(), finish_wandb():
        return CLI(
            parser_class=OneLineParser,
            trainer_class=RangedTrainer,
            save_config_callback=RunRecorder,
            trainer_defaults={"use_distributed_sampler": False, "enable_model_summary": False},
            seed_everything_default=42,
            auto_configure_optimizers=False,
            parser_kwargs={"description": (__doc__ or "").partition("\n")[0]},
            subclass_mode_model=True,
            subclass_mode_data=True,
            model_class=pl.LightningModule,
            datamodule_class=pl.LightningDataModule,
            args=args,
        )


def run() -> None:
    """The process's own command line, with the subcommands that are no Trainer verbs."""
    if sys.argv[1:2] == ["compare"]:
        compare.main(sys.argv[2:])
    elif sys.argv[1:2] == ["crossval"]:
        crossval.main(sys.argv[2:], main)
    elif sys.argv[1:2] == ["export"]:
        from inference import export

        export.main(sys.argv[2:])
    elif sys.argv[1:2] == ["compress"]:
        from inference import compression

        compression.main(sys.argv[2:])
    elif sys.argv[1:2] == ["demo"]:
        from demo import server

        server.main(sys.argv[2:])
    elif sys.argv[1:] == ["--version"]:
        print(f"lightning-image-tasks {version('lightning-image-tasks')}, {git_revision()}")
    else:
        main()


if __name__ == "__main__":
    run_and_exit(run)
