"""What a model is made of, without what holds no parameters."""

import pytorch_lightning as pl
import torch
from torchmetrics import MeanMetric

from callbacks.model_table import ModelTable


class Model(pl.LightningModule):
    def __init__(self, frozen):
        super().__init__()
        self.network = torch.nn.Linear(100, 20)
        self.head = torch.nn.Linear(20, 1)
        self.loss = torch.nn.MSELoss()
        self.mean = MeanMetric()
        self.network.requires_grad_(not frozen)

    def training_step(self, batch):
        return None

    def configure_optimizers(self):
        return None


def line(caplog, frozen):
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[ModelTable()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(frozen), [torch.ones(1)])
    (message,) = (m for m in caplog.messages if m.startswith("model: "))
    assert not any("FLOPs" in m or "MeanMetric" in m for m in caplog.messages)
    return message


def test_one_line(caplog):
    assert line(caplog, frozen=False) == (
        "model: network Linear 2,020, head Linear 21; 2,041 parameters"
    )


def test_what_is_frozen_is_said(caplog):
    assert line(caplog, frozen=True).endswith("; 2,041 parameters, 21 of them trained")
