"""Generated blots as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from callbacks.atomic import atomic_write


class BlotWriter(BasePredictionWriter):
    """One 8-bit grey PNG a template pair in ``predictions/``, named as its first template."""

    def __init__(self) -> None:
        super().__init__(write_interval="batch")

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: tuple[Tensor, Tensor, Tensor],
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        folder = Path(trainer.default_root_dir) / "predictions"
        triples = trainer.datamodule.predict_set.dataset.triples  # type: ignore[attr-defined]
        for index, (pixels,) in zip(batch[2].tolist(), prediction.cpu(), strict=True):
            name = triples[index].template1.stem
            with atomic_write(folder / f"{name}.png") as half:
                Image.fromarray(pixels.numpy()).save(half)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            print(f"generated blots: {trainer.default_root_dir}/predictions")
