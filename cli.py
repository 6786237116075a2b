"""Train, validate, test and use one of the four image tasks.

python cli.py fit --config configs/aoi.yaml
python cli.py fit --config configs/aoi.yaml --data.data_dir my/images --trainer.max_epochs 20
python cli.py fit --config configs/aoi.yaml --ckpt_path last        # continue where it stopped
python cli.py test --config configs/aoi.yaml --ckpt_path best       # newest run's, or a run, a file
python cli.py predict --config configs/aoi.yaml --ckpt_path best --data.predict_dir my/new

`python cli.py --help` lists the other verbs, `python cli.py fit --help --config configs/aoi.yaml`
the options. ``lit-tasks`` is the same command; configs/ need not be written out: ``--config aoi``.
"""

if __name__ == "__main__":
    from commandline.verbs import run

    run()  # before the imports below, which not every verb needs; does not return

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI

from callbacks.compilation import CompileMode
from callbacks.run_recorder import RunRecorder
from callbacks.standard import sort_callbacks, standard_callbacks
from commandline.checks import check_values
from commandline.config_of_checkpoint import with_config
from commandline.noise import filter_warnings
from commandline.option_help import print_help
from commandline.parser import OneLineParser, one_line_of
from commandline.verbs import CONFIGS
from common.errors import DataError, UsageError
from common.paths import expand
from experiment.checkpoint_io import AtomicCheckpointIO
from experiment.checkpoints import Checkpoints
from experiment.checkpoints.initialize import initialize
from experiment.checkpoints.read import check_not_finished, check_weights_fit
from experiment.checkpoints.settings import log_overrides
from experiment.hardware import (
    MemoryFormat,
    ask_cuda_directly,
    keep_freed_memory,
    native_precision,
)
from experiment.metrics_csv import MetricsCSV
from experiment.run_folder import (
    RunSettings,
    discard_run_folder,
    requeued_run,
    results_folder,
)
from experiment.wandb_run import finish_wandb
from inference.loading import average_of
from lit_models.networks.pretrained import read_state
from lit_models.postprocessing.ensemble import join

log = logging.getLogger(__name__)

# What a data module has found, and the model's argument that it becomes.
FOUND = {"class_names": "class_names", "pixel_channels": "channels"}


class CLI(LightningCLI):
    """LightningCLI of one verb of the Trainer, whose runs each have a folder of their own.

    Args:
        verb: fit, validate, test or predict.
        args: its options.
    """

    def __init__(self, verb: str, args: Sequence[str]) -> None:
        self.verb = verb
        self.checkpoints: Checkpoints | None = None
        super().__init__(
            pl.LightningModule,
            pl.LightningDataModule,
            save_config_callback=None,  # RunRecorder does it
            # Precision and accelerator pick what is fastest where they are not given.
            trainer_defaults={"use_distributed_sampler": False, "log_every_n_steps": 10},
            seed_everything_default=42,
            parser_class=OneLineParser,
            parser_kwargs={"prog": f"lit-tasks {verb}"},
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            args=[*args],
            run=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_class_arguments(RunSettings, "run")
        path = dict[str, Any](type=str | None, default=None)
        parser.add_argument(
            "--ckpt_path", **path, help="best, last, a run, a checkpoint or several"
        )
        text = "of fit: run, checkpoint or state dict whose weights a new training begins with"
        parser.add_argument("--init_from", **path, help=text)
        if self.verb == "predict":
            parser.add_argument("--output", **path, help="new folder for the predictions")
        modes = dict[str, Any](type=CompileMode | None, default=None)
        parser.add_argument("--compile", **modes, help="mode of torch.compile in fit; null: none")
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
            "--from_scratch",
            **path,
            help="config in configs/ that is added where, on the built-in sample, the network's "
            "pretrained weights cannot be had",
        )
        for found, own in FOUND.items():
            target = f"model.init_args.{own}"
            parser.link_arguments(f"data.{found}", target, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        print_help(parser, args)  # type: ignore[arg-type]
        args = [str(arg).replace("--model.init_from", "--init_from", 1) for arg in args]  # type: ignore[union-attr]
        if any(arg.startswith("--model.class_names") for arg in args):  # type: ignore[union-attr]
            raise UsageError("model.class_names: is linked to the data's; give data.class_names")
        super().parse_arguments(parser, args)
        check_values(self.config.as_dict(), self.verb)
        if self.config.init_from and (self.verb != "fit" or self.config.ckpt_path):
            raise UsageError(
                "init_from: begins a new fit; with a checkpoint give --ckpt_path alone"
            )
        if self._lacks_weights():
            from_scratch = CONFIGS / self.config.from_scratch
            self.config = parser.parse_args([*args, f"--config={from_scratch}"])  # type: ignore[misc]
        given = (re.match(r"--model\.(?:init_args\.)?inference\.?(\w*)", arg) for arg in args)
        self.asked = [found[1] for found in given if found and self.verb != "fit"]
        self.checkpoints = self._open_checkpoints()
        if self.checkpoints is not None:
            self._take_from_checkpoints(parser, self.checkpoints)

    def _lacks_weights(self) -> bool:
        """Whether the built-in sample is to be trained on, and pretrained weights cannot be had."""
        config = self.config
        if config.from_scratch is not None and not (CONFIGS / config.from_scratch).is_file():
            raise UsageError(f"from_scratch: {CONFIGS / config.from_scratch}: no such file")
        new = self.verb == "fit" and config.ckpt_path is None and config.init_from is None
        if not new or config.from_scratch is None or config.data.init_args.get("data_dir"):
            return False
        network = config.get("model.init_args.network.init_args", {})
        try:
            if network.get("weights", "random") != "random":
                read_state(network.name, network.weights)
        except DataError as error:
            log.warning("RANDOM WEIGHTS in place of ImageNet's: %s", error)
            log.warning("trained from scratch instead, as with --config %s", config.from_scratch)
            return True
        return False

    def _open_checkpoints(self) -> Checkpoints | None:
        settings = RunSettings(**self.config.run.as_dict())
        given, runs = self.config.ckpt_path, settings.existing
        if given is None and self.verb == "fit" and (begun := requeued_run(settings)) is not None:
            given, runs = "auto", [begun]
        if given == "auto" and self.verb == "fit":
            found = any((run / "checkpoints" / "last.ckpt").is_file() for run in runs)
            given = "last" if found else None
        if given is None:
            if self.verb != "fit":
                raise DataError(f"{self.verb} needs --ckpt_path: best, last, a run, file")
            return None
        checkpoints = Checkpoints.open(given, "last" if self.verb == "fit" else "best", runs)
        if self.verb == "fit" and len(checkpoints.members) > 1:
            raise UsageError("ckpt_path: fit goes on from one checkpoint, not several; give one")
        return checkpoints

    def _take_from_checkpoints(
        self, parser: LightningArgumentParser, checkpoints: Checkpoints
    ) -> None:
        """Let the (first) checkpoint decide how the model is built, and what it is fed.

        See `experiment.checkpoints.settings`. What was asked for and is not used is logged.
        """
        given, lead = self.config.clone(), checkpoints.lead
        if self.verb == "validate" and not checkpoints.share_validation:
            log.warning(
                "%s: others trained on its validation images; this score flatters", lead.path
            )
        whole = self.config.as_dict()
        for part, init_args in checkpoints.settings(given, self.asked).items():
            whole[part]["init_args"] |= init_args
        for own in FOUND.values():  # linked to the data's
            whole["model"]["init_args"].pop(own, None)
        self.config = parser.parse_object(whole)
        log_overrides(given, self.config)
        if self.verb == "fit":
            check_not_finished(lead, self.config.trainer.max_epochs)

    def before_instantiate_classes(self) -> None:
        ask_cuda_directly()
        if self.config.trainer.precision is None:
            self.config.trainer.precision = native_precision(self.config.trainer.accelerator)
        if self.config.keep_freed_memory:
            keep_freed_memory()

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config, given = self.config, self.config_init.trainer
        run = RunSettings(**config.run.as_dict())
        paths: list[Path] = []
        if config.init_from:
            initialize(self.model, config.init_from)
        if self.checkpoints is not None:
            self._load(self.checkpoints)
            paths = self.checkpoints.paths
        several = (config.ckpt_path, paths) if len(paths) > 1 else None
        folder = results_folder(run, config.ckpt_path, paths, self.verb == "predict")
        output = expand(config.output) if config.get("output") else None
        recorder = RunRecorder(self.parser, config, run, folder, output, several)
        self.trainer_defaults["callbacks"] = [*standard_callbacks(config, run.task), recorder]
        loggers = [MetricsCSV(folder)] if self.verb == "fit" else []
        if not isinstance(given.logger, bool | None):
            loggers += given.logger if isinstance(given.logger, list) else [given.logger]
        plugins = [*(given.plugins or []), AtomicCheckpointIO()]
        try:
            with one_line_of(Exception, option="trainer"):
                kwargs = {"logger": loggers, "plugins": plugins, **kwargs}
                # Not the working folder, where Lightning leaves and looks for a Slurm job's state.
                kwargs["default_root_dir"] = given.default_root_dir or str(folder)
                trainer = super().instantiate_trainer(**kwargs)
        except DataError:
            discard_run_folder(folder)
            raise
        sort_callbacks(trainer)
        return trainer

    def _load(self, checkpoints: Checkpoints) -> None:
        """Check the weights, and put an ensemble in the network's place where there are several."""
        for member in checkpoints.members:
            check_weights_fit(member, self.model)
        if len(checkpoints.members) > 1:
            fitted = "temperature" not in self.asked  # by each member for itself
            asked = None if fitted else self.config.model.init_args.inference.temperature
            scales = checkpoints.temperatures(asked)
            states = [member.weights for member in checkpoints.members]
            join(self.model, states, scales, average_of(checkpoints.lead))

    def run(self) -> None:
        """Do the verb's work.

        Raises:
            DataError: bad data, or ``predict`` has left out images that it could not read.
        """
        more: dict[str, Any] = {"datamodule": self.datamodule, "ckpt_path": None}
        if self.checkpoints is not None:
            more["ckpt_path"] = str(self.checkpoints.lead.path)
        if self.verb == "predict":
            more["return_predictions"] = False  # they are in files
        elif self.verb != "fit":
            more["verbose"] = False  # ReportWriter prints the scores
        getattr(self.trainer, self.verb)(self.model, **more)
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, RunRecorder):
                callback.check_skipped()


def main(args: Sequence[str]) -> CLI:
    """Run a verb of Lightning's Trainer, and return the CLI with its trainer, model and data.

    Raises:
        DataError: bad input, in one line.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    filter_warnings()
    with one_line_of(), finish_wandb():
        verb, *options = with_config(args)
        cli = CLI(verb, options)
        cli.run()
        return cli
