"""From a name to a checkpoint, its contents, its settings and its network.

Nothing here imports Lightning, so that `inference.load` starts fast.
"""

from experiment.checkpoints.find import CROSSVAL_RECORD, find_checkpoints
from experiment.checkpoints.read import Checkpoint, read_checkpoint
from experiment.checkpoints.settings import Checkpoints

__all__ = ["CROSSVAL_RECORD", "Checkpoint", "Checkpoints", "find_checkpoints", "read_checkpoint"]
