"""One line an epoch with the metrics that matter, and bars on a terminal."""

import pytorch_lightning as pl
import torch
from conftest import quiet_trainer
from torch.utils.data import DataLoader

from callbacks.progress import Progress


class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch):
        return self.layer(batch).square().mean()

    def on_train_epoch_end(self):
        self.log_dict({"train/loss": self.current_epoch + 1.0, "train/other": 0.0})

    def validation_step(self, batch):
        self.log_dict({"val/accuracy": 0.5, "val/f1_macro": 0.25})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fit(folder, bar, epochs=2):
    options = {"callbacks": [bar], "enable_progress_bar": True}
    trainer = quiet_trainer(default_root_dir=folder, max_epochs=epochs, **options)
    data = DataLoader(torch.ones(4, 1))
    trainer.fit(Line(), data, data)
    return trainer


def test_one_line_an_epoch_without_escape_codes(tmp_path, capsys):
    fit(tmp_path, Progress("aoi"))
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert all("val/accuracy 0.5000" in line for line in lines)
    assert "train/loss 1.0000" in lines[0]
    assert "train/loss 2.0000" in lines[1]
    assert "f1_macro" not in out
    assert "other" not in out
    assert "\x1b" not in out


def test_bars_only_on_a_terminal(monkeypatch):
    assert not Progress("a fifth task").is_enabled
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert Progress("aoi").is_enabled
