"""Weights & Biases logging: optional, never prompts, never stops a run."""

import logging
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from experiment.run_folder import RunSettings

log = logging.getLogger(__name__)


def new_wandb_id() -> str:
    """A new id, or the one that the agent of a sweep has chosen."""
    of_sweep = "WANDB_SWEEP_ID" in os.environ and os.environ.get("WANDB_RUN_ID")
    return of_sweep or uuid.uuid4().hex[:12]


@contextmanager
def finish_wandb() -> Iterator[None]:
    """Finish the W&B run of the block; one process may train several."""
    status = 1
    try:
        yield
        status = 0
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            wandb.finish(exit_code=status)


def start_wandb(
    run: RunSettings, folder: Path, wandb_id: str, config: dict[str, Any], tags: list[str]
) -> WandbLogger | None:
    """Start W&B on rank 0, offline in ``<folder>/wandb`` without an API key or an answer.

    It never prompts. ``WANDB_MODE`` may be "offline" or "disabled", as ``run.wandb``.

    Args:
        run: settings of the run.
        folder: the run folder.
        wandb_id: id of a new W&B run, or of one to continue.
        config: config of the W&B run.
        tags: tags of the W&B run.

    Returns:
        The logger; None where W&B is disabled or does not start.
    """
    wanted = {run.wandb, os.environ.get("WANDB_MODE") or "online"}
    if "disabled" in wanted:
        return None
    import wandb

    # Seconds to wait for a server that accepts and never answers.
    settings = wandb.Settings(init_timeout=30, finish_timeout=120, silent=True, console="off")
    for mode in ("online", "offline") if wanted == {"auto", "online"} else ("offline",):
        try:
            if mode == "online" and not wandb.login(prompt=False):
                continue
            logger = WandbLogger(
                project=run.project,
                save_dir=folder,
                id=wandb_id,
                name=folder.name,
                group=run.config or run.task,
                mode=mode,
                config=config,
                tags=tags,
                settings=settings,
            )
            offline = f"kept offline; to upload: wandb sync {folder}/wandb/offline-run-*"
            log.info("W&B: %s", logger.experiment.url or offline)
            return logger
        except Exception as error:  # no network, no disk, a malformed key: tracking only is lost
            log.warning("W&B did not start (%s): %s", mode, str(error).partition("\n")[0])
    return None
