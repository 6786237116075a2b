"""Options that Lightning would take and then train nothing, or take the machine down."""

import pytest
from jsonargparse import ArgumentParser

from experiment.arguments import UsageError
from experiment.ranged_trainer import RangedTrainer

QUIET = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu"}


def test_ranges_are_types_that_help_shows():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RangedTrainer, "trainer")
    for good in ("max_epochs=-1", "max_epochs=null", "max_epochs=3", "gradient_clip_val=0"):
        parser.parse_args([f"--trainer.{good}"])
    for bad in (
        "max_epochs=0",
        "max_steps=-2",
        "accumulate_grad_batches=0",
        "num_nodes=0",
        "min_epochs=-1",
        "num_sanity_val_steps=-2",
    ):
        with pytest.raises(Exception, match="does not conform"):
            parser.parse_args([f"--trainer.{bad}"])
    assert "--trainer.enable_progress_bar" in parser.format_help(), "Lightning's own are there"


@pytest.mark.parametrize(
    "option",
    [
        {"devices": 9999},
        {"devices": "9999"},
        {"limit_train_batches": 0},
        {"limit_test_batches": 0},
        {"limit_predict_batches": 0.0},
    ],
)
def test_what_would_be_no_training(option):
    with pytest.raises(UsageError, match=rf"^trainer\.{next(iter(option))}: "):
        RangedTrainer(**QUIET, **option)


def test_values_arrive():
    trainer = RangedTrainer(max_epochs=3, limit_train_batches=0.5, devices=1, **QUIET)
    assert (trainer.max_epochs, trainer.limit_train_batches) == (3, 0.5)


def test_validation_of_no_batch_is_refused_and_training_without_it_is_not():
    trainer = RangedTrainer(limit_val_batches=0, **QUIET)
    with pytest.raises(UsageError, match=r"^trainer\.limit_val_batches: must not be 0"):
        trainer.validate()
