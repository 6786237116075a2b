"""Ensembles: the average of several trained networks."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mean_of_classes(logits: Tensor) -> Tensor:
    """Log probabilities ``(N, K)`` of the mean probabilities of logits ``(M, N, K)``."""
    # A probability may underflow, its logarithm not.
    return logits.log_softmax(dim=2).logsumexp(dim=0) - torch.tensor(float(len(logits))).log()


def mean_of_pixels(logits: Tensor) -> Tensor:
    """Logits ``(N, 1, H, W)`` whose sigmoid is the mean of that of ``(M, N, 1, H, W)``."""
    return F.logsigmoid(logits).logsumexp(dim=0) - F.logsigmoid(-logits).logsumexp(dim=0)


class Ensemble(nn.Module):
    """A network that is the average of several; the one place that loops over them.

    Its output is what one of them would give: logits of the mean probability, or the mean image.
    Views, scales and tiles are therefore those of a single network. The members have their weights:
    a state dict of a single network, which the Trainer loads, changes nothing.

    Args:
        members: networks of one kind.
        average: of their outputs ``(M, N, ...)``.
        temperatures: divides each member's logits.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        average: Callable[[Tensor], Tensor],
        temperatures: Sequence[float],
    ) -> None:
        super().__init__()
        self.members, self.average = nn.ModuleList(members), average
        self.temperatures = temperatures
        self.register_load_state_dict_pre_hook(_keep_weights)

    def forward(self, images: Tensor) -> Tensor:
        """The average output for images ``(N, C, H, W)``, float32."""
        pairs = zip(self.members, self.temperatures, strict=True)
        return self.average(torch.stack([member(images).float() / t for member, t in pairs]))


def _keep_weights(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        del state[name]
    state.update(module.state_dict(prefix=prefix))


def join(
    module: Any,
    states: Sequence[dict[str, Tensor]],
    temperatures: Sequence[float],
    average: Callable[[Tensor], Tensor],
) -> None:
    """Replace a LightningModule's ``network`` by an `Ensemble`.

    Args:
        module: has a network of the members' kind.
        states: state dicts of such modules.
        temperatures: of a classifier's members.
        average: see `Ensemble`.
    """
    members = [copy.deepcopy(module.network) for _ in states]
    for member, state in zip(members, states, strict=True):
        below = {k.removeprefix("network."): v for k, v in state.items() if k[:8] == "network."}
        member.load_state_dict(below)
    attach_ensemble(module, Ensemble(members, average, temperatures))


def attach_ensemble(model: Any, ensemble: Ensemble) -> None:
    """Let a LightningModule, or a model of `inference`, ask an ensemble, which has temperatures."""
    model.network = ensemble
    if hasattr(getattr(model, "inference", None), "temperature"):
        model.inference = replace(model.inference, temperature=None)
    if hasattr(model, "unknown"):
        model.unknown = None  # it is for the features of one network
