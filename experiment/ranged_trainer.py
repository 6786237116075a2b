"""Lightning's Trainer with the ranges that its options have."""

import os
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from jsonargparse.typing import NonNegativeInt, PositiveInt, restricted_number_type

from common.ranges import NonNegativeFinite
from experiment.arguments import UsageError

MOST_A_CORE = 4  # processes of one training; more take the machine down

if TYPE_CHECKING:
    Limit = int
    SanitySteps = int
else:
    SanitySteps = restricted_number_type("SanitySteps", int, (">=", -1))
    Limit = restricted_number_type("Limit", int, [("==", -1), (">=", 1)], join="or")


class RangedTrainer(pl.Trainer):
    """``pl.Trainer`` that refuses what it would take and then train nothing, or stop at.

    Args:
        max_epochs: of the whole training; -1 has no end.
        max_steps: of the whole training; -1 has no end.
        accumulate_grad_batches: batches to a step of the optimizer.
        min_epochs: least of the whole training.
        min_steps: least of the whole training.
        num_sanity_val_steps: validation batches before the training; -1 takes all.
        check_val_every_n_epoch: epochs from one validation to the next.
        log_every_n_steps: steps from one row of metrics to the next; 0 logs epochs alone.
        gradient_clip_val: largest norm of the gradient; null or 0 does not clip.
        num_nodes: machines.
        devices: processes, or which ones, or "auto".
        limit_train_batches: part or number of the batches of an epoch; null takes all.
        limit_test_batches: the same of ``test``.
        limit_predict_batches: the same of ``predict``.
        val_check_interval: part of an epoch, or number of batches, to the next validation.
        kwargs: of ``pl.Trainer``.

    Raises:
        UsageError: more processes than the machine can take, or nothing to train on, score or
            predict.
    """

    def __init__(
        self,
        *,
        max_epochs: Limit | None = None,
        max_steps: Limit = -1,
        accumulate_grad_batches: PositiveInt = 1,
        min_epochs: NonNegativeInt | None = None,
        min_steps: NonNegativeInt | None = None,
        num_sanity_val_steps: SanitySteps | None = None,
        check_val_every_n_epoch: PositiveInt | None = 1,
        log_every_n_steps: NonNegativeInt | None = None,
        gradient_clip_val: NonNegativeFinite | None = None,
        num_nodes: PositiveInt = 1,
        devices: int | str | list[int] = "auto",
        limit_train_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        val_check_interval: int | float | str | None = None,
        **kwargs: Any,
    ) -> None:
        most = MOST_A_CORE * (os.cpu_count() or 1)
        if str(devices).isdigit() and int(str(devices)) > most:
            raise UsageError(f"trainer.devices: {devices} processes; this machine can take {most}")
        for name, value in (
            ("limit_train_batches", limit_train_batches),
            ("limit_test_batches", limit_test_batches),
            ("limit_predict_batches", limit_predict_batches),
            ("val_check_interval", val_check_interval),
        ):
            if value == 0:
                raise UsageError(f"trainer.{name}: must not be 0; null takes all")
        super().__init__(
            max_epochs=max_epochs,
            max_steps=max_steps,
            accumulate_grad_batches=accumulate_grad_batches,
            min_epochs=min_epochs,
            min_steps=min_steps,
            num_sanity_val_steps=num_sanity_val_steps,
            check_val_every_n_epoch=check_val_every_n_epoch,
            log_every_n_steps=log_every_n_steps,
            gradient_clip_val=gradient_clip_val,
            num_nodes=num_nodes,
            devices=devices,
            limit_train_batches=limit_train_batches,
            limit_test_batches=limit_test_batches,
            limit_predict_batches=limit_predict_batches,
            val_check_interval=val_check_interval,
            **kwargs,
        )

    def validate(self, *args: Any, **kwargs: Any) -> Any:
        """As Lightning's; without a batch, which `fit` may want, there is nothing to report.

        Raises:
            UsageError: ``limit_val_batches`` is 0.
        """
        if self.limit_val_batches == 0:
            raise UsageError("trainer.limit_val_batches: must not be 0; null takes all")
        return super().validate(*args, **kwargs)
