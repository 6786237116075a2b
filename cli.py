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
from callbacks.standard import all_callbacks
from commandline.checks import check_values
from commandline.configs import CONFIGS
from commandline.option_help import print_help
from commandline.parser import OneLineParser, one_line_of
from commandline.warning_filters import filter_warnings
from common.errors import DataError, UsageError
from experiment.checkpoint_io import AtomicCheckpointIO
from experiment.checkpoints import Checkpoints
from experiment.checkpoints.network import check_finite, check_weights_fit, initialize
from experiment.checkpoints.read import check_not_finished
from experiment.checkpoints.settings import log_overrides
from experiment.hardware import native_precision, tune_process
from experiment.metrics_csv import MetricsCSV
from experiment.run_folder import RunSettings, discard_run_folder, requeued_run, results_folder
from experiment.wandb_run import finish_wandb
from inference.loading import average_of
from lit_models.networks.torchvision_classifier import read_weights
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

    def __deepcopy__(self, memo: dict[int, Any]) -> "CLI":
        """Itself: callbacks such as SWA copy the module, whose optimizer options refer to it."""
        return self

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_class_arguments(RunSettings, "run")
        texts = {
            "ckpt_path": "best, last, a run, a checkpoint or several",
            "init_from": "run, checkpoint or state dict with the initial weights of fit",
        }
        if self.verb == "predict":
            texts["output"] = "new folder for the predictions"
        for name, text in texts.items():
            parser.add_argument(f"--{name}", type=str | None, default=None, help=text)
        text = "mode of torch.compile in fit; null: none"
        parser.add_argument("--compile", type=CompileMode | None, default=None, help=text)
        for found, own in FOUND.items():
            target = f"model.init_args.{own}"
            parser.link_arguments(f"data.{found}", target, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        print_help(parser, args)  # type: ignore[arg-type]
        args = [str(arg).replace("--model.init_from", "--init_from", 1) for arg in args]  # type: ignore[union-attr]
        if any(arg.startswith("--model.class_names") for arg in args):
            raise UsageError("model.class_names: comes from the data; give data.class_names")
        super().parse_arguments(parser, args)
        check_values(self.config.as_dict(), self.verb)
        self.checkpoints = self._open_checkpoints()
        if self.checkpoints is None and (overlay := self._from_scratch()):
            last = max(n for n, arg in enumerate(args) if re.match(r"(--config|-c)\b", arg))
            place = last + (1 if "=" in args[last] else 2)  # the user's options come after it
            self.config = parser.parse_args([*args[:place], f"--config={overlay}", *args[place:]])
        given = (re.match(r"--model\.(?:init_args\.)?inference\.?(\w*)", arg) for arg in args)
        self.inference_given = [found[1] for found in given if found and self.verb != "fit"]
        if self.checkpoints is not None:
            self._take_from_checkpoints(parser, self.checkpoints)

    def _from_scratch(self) -> Path | None:
        """The config to add where the sample is trained on and pretrained weights are missing."""
        config = self.config
        names = [config.run.config, config.run.task]  # crossval has a config name of its own
        overlays = [CONFIGS / "from_scratch" / f"{name}.yaml" for name in names]
        overlay = next((path for path in overlays if path.is_file()), None)
        if config.init_from or config.data.init_args.get("data_dir") or overlay is None:
            return None
        network = config.model.init_args.network.init_args
        try:
            if network.get("weights", "random") != "random":
                read_weights(network.name, network.weights)
        except DataError as error:
            log.warning("RANDOM WEIGHTS in place of ImageNet's: %s", error)
            log.warning("trained from scratch instead, as with --config %s", overlay)
            return overlay
        return None

    def _open_checkpoints(self) -> Checkpoints | None:
        training, run = self.verb == "fit", RunSettings(**self.config.run.as_dict())
        given = self.config.ckpt_path
        if self.config.init_from and (given or not training):
            raise UsageError("init_from: starts a new fit; leave --ckpt_path out")
        if training and given in (None, "auto"):
            runs = run.existing if given else [requeued_run(run)]
            if not any(one and (one / "checkpoints" / "last.ckpt").is_file() for one in runs):
                return None
            given = "last" if given else runs[0]
        if given is None:
            raise DataError(f"{self.verb} needs --ckpt_path: best, last, a run or a file")
        checkpoints = Checkpoints.open(given, "last" if training else "best", run.existing)
        if training and len(checkpoints.members) > 1:
            raise UsageError("ckpt_path: several checkpoints; fit continues one")
        return checkpoints

    def _take_from_checkpoints(
        self, parser: LightningArgumentParser, checkpoints: Checkpoints
    ) -> None:
        """Take model and preprocessing from the (first) checkpoint, and log what that overrides."""
        given, lead = self.config.clone(), checkpoints.lead
        if self.verb == "validate" and not checkpoints.share_validation:
            log.warning("%s: this score flatters, others trained on its images", lead.path)
        whole = self.config.as_dict()
        for part, init_args in checkpoints.settings(given, self.inference_given).items():
            whole[part]["init_args"] |= init_args
        for own in FOUND.values():  # linked to the data's
            whole["model"]["init_args"].pop(own, None)
        self.config = parser.parse_object(whole)
        log_overrides(given, self.config)
        if self.verb == "fit":
            check_not_finished(lead, self.config.trainer.max_epochs)

    def before_instantiate_classes(self) -> None:
        tune_process()
        if self.config.trainer.precision is None:
            self.config.trainer.precision = native_precision(self.config.trainer.accelerator)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        config, given = self.config, self.config_init.trainer
        run = RunSettings(**config.run.as_dict())
        paths = self.checkpoints.paths if self.checkpoints else []
        if config.init_from:
            initialize(self.model, config.init_from)
        if self.checkpoints is not None:
            self._load(self.checkpoints)
        folder = results_folder(run, config.ckpt_path, paths, self.verb == "predict")
        self.recorder = RunRecorder(self.parser, config, folder, paths)
        kwargs["callbacks"] = all_callbacks(config, self.recorder, given.callbacks or [])
        loggers = [MetricsCSV(folder)] if self.verb == "fit" else []
        if not isinstance(given.logger, bool | None):
            loggers += given.logger if isinstance(given.logger, list) else [given.logger]
        kwargs |= {"logger": loggers, "plugins": [*(given.plugins or []), AtomicCheckpointIO()]}
        # Not the working folder, where Lightning leaves and looks for a Slurm job's state.
        kwargs["default_root_dir"] = given.default_root_dir or str(folder)
        try:
            with one_line_of(Exception, option="trainer"):
                return super().instantiate_trainer(**kwargs)
        except DataError:
            discard_run_folder(folder)
            raise

    def _load(self, checkpoints: Checkpoints) -> None:
        """Check the weights, and attach an ensemble where there are several checkpoints."""
        for member in checkpoints.members:
            try:
                check_weights_fit(member.weights, self.model.state_dict())
            except DataError as error:
                raise DataError(f"{member.path}: {error}") from None
            check_finite(member.path, member.weights)
        if len(checkpoints.members) > 1:
            fitted = "temperature" not in self.inference_given  # for each member
            given = None if fitted else self.config.model.init_args.inference.temperature
            states = [member.weights for member in checkpoints.members]
            average = average_of(checkpoints.lead)
            join(self.model, states, checkpoints.temperatures(given), average)

    def run(self) -> None:
        """Do the verb's work.

        Raises:
            DataError: bad data, or ``predict`` has left out images that it could not read.
        """
        more: dict[str, Any] = {}
        if self.checkpoints is not None:
            more["ckpt_path"] = str(self.checkpoints.lead.path)
        if self.verb == "predict":
            more["return_predictions"] = False  # they are in files
        elif self.verb != "fit":
            more["verbose"] = False  # ReportWriter prints the scores
        getattr(self.trainer, self.verb)(self.model, datamodule=self.datamodule, **more)
        self.recorder.check_skipped()


def main(args: Sequence[str]) -> CLI:
    """Run a verb of Lightning's Trainer, and return the CLI with its trainer, model and data.

    Raises:
        DataError: bad input, in one line.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    filter_warnings()
    with one_line_of(), finish_wandb():
        cli = CLI(args[0], args[1:])
        cli.run()
        return cli
