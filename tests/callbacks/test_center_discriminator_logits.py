"""Where the logits of a styled blot GAN's discriminator are cut."""

import json
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from conftest import config_args, one_run

from callbacks import CenterDiscriminatorLogits
from cli import main
from common.errors import DataError
from lit_models import StyledBlotGAN


def test_the_middle_is_of_the_weights_that_a_checkpoint_holds(tmp_path):
    short = ["--trainer.max_epochs=2", "--trainer.limit_train_batches=2"]
    cli = main(["fit", *config_args("blots_style", tmp_path, *short)])
    checkpoint = one_run(tmp_path) / "checkpoints" / "last.ckpt"
    model = StyledBlotGAN.load_from_checkpoint(checkpoint, map_location="cpu").eval()
    assert model.discriminator.middle != 0
    assert json.loads((one_run(tmp_path) / "run.json").read_text())["status"] == "finished"
    judge = next(
        c for c in cli.trainer.callbacks if type(c).__name__ == "CenterDiscriminatorLogits"
    )
    kept = model.discriminator.middle.clone()
    cli.trainer.state.fn = "fit"
    cli.trainer.sanity_checking = False
    with torch.no_grad():
        judge.on_validation_epoch_start(cli.trainer, model)
    torch.testing.assert_close(model.discriminator.middle, kept, atol=1e-6, rtol=1e-3)


def test_other_modules_are_refused_in_a_line():
    trainer = SimpleNamespace(state=SimpleNamespace(fn="fit"), sanity_checking=False)
    with pytest.raises(
        DataError, match=r"CenterDiscriminatorLogits: LightningModule has no such discrim"
    ):
        CenterDiscriminatorLogits().on_validation_epoch_start(trainer, pl.LightningModule())
