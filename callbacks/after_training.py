"""What is fitted after training, and kept in checkpoints."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from callbacks.feature_cache import over_images
from callbacks.gather import on_rank_zero
from callbacks.run_recorder import run_folder
from experiment.checkpoint_io import AtomicCheckpointIO
from experiment.checkpoints import Checkpoint, read_checkpoint


class AfterTraining(Callback):
    """Base class: fits something to the best and to the last checkpoint at the end of ``fit``.

    Training is left as it was: a resumed run continues as if nothing had been fitted.
    """

    def fit_to(self, trainer: pl.Trainer, pl_module: Any, checkpoint: Checkpoint) -> dict[str, Any]:
        """Fit, and change ``checkpoint.content``, which is then written on rank 0.

        Args:
            trainer: in the state of validation; every process calls this.
            pl_module: in eval mode, with the checkpoint's weights.
            checkpoint: what was read from the file.

        Returns:
            State of this callback in the checkpoint; empty leaves the file as it is.
        """
        raise NotImplementedError

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = run_folder(trainer) / "checkpoints"
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        candidates = dict.fromkeys([folder / "last.ckpt", folder / Path(best or "last.ckpt").name])
        paths = on_rank_zero(trainer, lambda: [path for path in candidates if path.is_file()])
        current = {name: value.clone() for name, value in pl_module.state_dict().items()}
        training = [module for module in pl_module.modules() if module.training]
        pl_module.eval()
        trainer.validating = True  # else the datamodule takes its images for training ones
        try:
            for path in paths:
                self._fit_to_file(trainer, pl_module, path)
        finally:
            trainer.training = True
            pl_module.load_state_dict(current)
            for module in training:
                module.training = True

    def _fit_to_file(self, trainer: pl.Trainer, pl_module: Any, path: Path) -> None:
        checkpoint = read_checkpoint(path)
        pl_module.load_state_dict(checkpoint.weights)
        if state := self.fit_to(trainer, pl_module, checkpoint):
            content = checkpoint.content
            content["callbacks"][self.state_key] = state
            on_rank_zero(trainer, lambda: AtomicCheckpointIO().save_checkpoint(content, path))


def held_out(trainer: pl.Trainer, pl_module: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What a classifier gives for all validation images, with its views of prediction.

    Returns:
        Features ``(N, F)`` of the first view, F = 0 where the network has none; logits of each
        view ``(V, N, K)``; classes ``(N,)``. Empty without validation images.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    network, inference = pl_module.network, pl_module.inference
    batches = trainer.num_val_batches[0] if trainer.num_val_batches else 0
    if not batches:
        return torch.empty(0, 0), torch.empty(1, 0, 1), torch.empty(0, dtype=torch.long)
    if "val" in data.features and not inference.tta:  # views of features do not exist
        features = data.features["val"]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            logits = network.head(features.to(pl_module.device)).float()
        return features, logits[None].cpu(), data.val_set.targets

    def give(batch: Any) -> tuple[Tensor, ...]:
        features, logits = inference.features_and_logits(network, batch["image"])
        return features, logits.transpose(0, 1), batch["target"]

    limit = int(min(batches, len(data.val_set)))
    features, logits, target = over_images(trainer, data.val_set, give, limit)
    return features, logits.transpose(0, 1), target
