"""Weights & Biases logging: optional, never prompts, never stops a run."""

import logging
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import WandbLogger

from experiment.run_folder import RunSettings

log = logging.getLogger(__name__)


def new_wandb_id() -> str:
    """A new id, or the one that the agent of a sweep has chosen."""
    of_sweep = "WANDB_SWEEP_ID" in os.environ and os.environ.get("WANDB_RUN_ID")
    return of_sweep or uuid.uuid4().hex[:12]


@contextmanager
def finish_wandb() -> Iterator[None]:
    """Finish the W&B run that was started in the block; one process may train several."""
    before, status = getattr(sys.modules.get("wandb"), "run", None), 1
    try:
        yield
        status = 0
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and getattr(wandb, "run", None) not in (None, before):
            wandb.finish(exit_code=status)


def wandb_mode(run: RunSettings) -> Literal["online", "offline", "disabled"]:
    """Mode by ``run.wandb``, ``WANDB_MODE`` and whether there is an API key. Never prompts."""
    wanted = {run.wandb, os.environ.get("WANDB_MODE") or "online"}
    if "disabled" in wanted:
        return "disabled"
    if wanted != {"auto", "online"}:
        return "offline"
    import wandb

    try:
        return "online" if wandb.login(prompt=False) else "offline"
    except Exception as error:  # a malformed key must not fail the run
        log.warning("W&B: %s; the run is kept offline", error)
        return "offline"


def start_wandb(
    run: RunSettings, folder: Path, wandb_id: str, config: dict[str, Any], tags: list[str]
) -> WandbLogger | None:
    """Start W&B on rank 0, offline in ``<folder>/wandb`` without an API key or an answer.

    Args:
        run: settings of the run.
        folder: the run folder.
        wandb_id: id of a new W&B run, or of one to continue.
        config: config of the W&B run.
        tags: tags of the W&B run.

    Returns:
        The logger; None where W&B is disabled or does not start.
    """
    wanted = wandb_mode(run)
    if wanted == "disabled":
        return None
    import wandb

    # Seconds to wait for a server that accepts and never answers.
    settings = wandb.Settings(init_timeout=30, finish_timeout=120, silent=True, console="off")
    for mode in dict.fromkeys((wanted, "offline")):
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
        try:
            url = logger.experiment.url
        except Exception as error:  # no network, no disk, an old server: tracking only is lost
            log.warning("W&B did not start (%s): %s", mode, str(error).partition("\n")[0])
            continue
        if mode == "offline":
            log.info("W&B: kept offline; to upload: wandb sync %s/wandb/offline-run-*", folder)
        else:
            log.info("W&B: %s", url)
        return logger
    return None
