"""Lightning's Trainer with the ranges that its options have."""

from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from jsonargparse.typing import NonNegativeInt, PositiveInt, restricted_number_type

from datamodules.ranges import NonNegativeFinite

if TYPE_CHECKING:
    Limit = int
else:
    Limit = restricted_number_type("Limit", int, [("==", -1), (">=", 1)], join="or")


class RangedTrainer(pl.Trainer):
    """``pl.Trainer`` that refuses what it would take and then train nothing, or stop at.

    Args:
        max_epochs: of the whole training; -1 has no end.
        max_steps: of the whole training; -1 has no end.
        accumulate_grad_batches: batches to a step of the optimizer.
        check_val_every_n_epoch: epochs from one validation to the next.
        log_every_n_steps: steps from one row of metrics to the next; 0 logs epochs alone.
        gradient_clip_val: largest norm of the gradient; null or 0 does not clip.
        num_nodes: machines.
        kwargs: of ``pl.Trainer``.
    """

    def __init__(
        self,
        *,
        max_epochs: Limit | None = None,
        max_steps: Limit = -1,
        accumulate_grad_batches: PositiveInt = 1,
        check_val_every_n_epoch: PositiveInt | None = 1,
        log_every_n_steps: NonNegativeInt | None = None,
        gradient_clip_val: NonNegativeFinite | None = None,
        num_nodes: PositiveInt = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            max_epochs=max_epochs,
            max_steps=max_steps,
            accumulate_grad_batches=accumulate_grad_batches,
            check_val_every_n_epoch=check_val_every_n_epoch,
            log_every_n_steps=log_every_n_steps,
            gradient_clip_val=gradient_clip_val,
            num_nodes=num_nodes,
            **kwargs,
        )
