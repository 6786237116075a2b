"""Classification networks of torchvision with a new head, and a small one."""

import hashlib
import socket
from pathlib import Path
from typing import cast

import torch
import torchvision.models
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, list_models

from common.errors import DataError
from common.paths import expand
from common.state_dict import read_state_dict


class TorchvisionClassifier(nn.Module):
    """Logits ``(N, num_classes)`` of images ``(N, 3, H, W)``, ImageNet-normalized.

    The network's last ``Linear`` becomes ``head``; all before it is ``backbone``.

    Args:
        num_classes: outputs of the new head.
        name: name of the network in torchvision, or "small_cnn" for `small_cnn`.
        weights: a name of the network's weights in torchvision, the file of a state dict in its
            format, or "random". Read by `load_pretrained`, not here.
        frozen: train the head alone; the backbone then stays in eval mode, so that its BatchNorm
            statistics do not move either.

    Raises:
        DataError: torchvision has no such network; it does not end in a ``Linear`` (SqueezeNet), or
            has auxiliary heads (GoogLeNet, Inception).
    """

    def __init__(
        self,
        num_classes: int,
        name: str = "resnet18",
        weights: str = "IMAGENET1K_V1",
        frozen: bool = True,
    ) -> None:
        super().__init__()
        if name not in [*list_models(torchvision.models), "small_cnn"]:
            raise DataError(f"model.network.name: torchvision has no classifier {name!r}")
        self.name, self.weights, self.frozen = name, weights, frozen
        self.backbone = small_cnn() if name == "small_cnn" else get_model(name, weights=None)
        layers = [(n, m) for n, m in self.backbone.named_modules() if isinstance(m, nn.Linear)]
        if not layers or hasattr(self.backbone, "aux_logits"):
            raise DataError(f"model.network.name: {name} does not end in one Linear; take another")
        self._head_name, last = layers[-1]
        self.backbone.set_submodule(self._head_name, nn.Identity())
        self.head = nn.Linear(last.in_features, num_classes)
        if frozen:
            # Here, because Lightning's fit() restores modes and never calls train().
            self.backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "TorchvisionClassifier":
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def load_pretrained(self) -> None:
        """Read ``weights`` into the backbone; where a checkpoint is loaded there is no need.

        Raises:
            DataError: see `read_weights`; weights of another network.
        """
        if self.weights == "random":
            return
        state = read_weights(self.name, self.weights)
        head = (f"{self._head_name}.weight", f"{self._head_name}.bias")
        try:
            self.backbone.load_state_dict({k: v for k, v in state.items() if k not in head})
        except RuntimeError as error:  # its first line names the class alone
            reason = str(error).split("\n")[1].strip()[:200]
            raise DataError(f"{self.weights}: not a {self.name} ({reason})") from None

    def features(self, images: Tensor) -> Tensor:
        """What the head sees, ``(N, F)``."""
        return cast(Tensor, self.backbone(images))

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.features(images)))

    def class_activation_maps(self, images: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Logits, where they come from, and the features.

        The maps are the last feature map, weighted by the head's rows.

        Where the head sees the mean of that map (global average pooling), this is exact: the mean
        of a class's map, plus the head's bias, is its logit. Elsewhere it means nothing. Source:
        Zhou et al., "Learning deep features for discriminative localization", 2016
        (arXiv 1512.04150).

        Returns:
            ``(N, K)``; float32 ``(N, K, h, w)``, None where the map has not the head's channels;
            ``(N, F)``.
        """
        last = images

        def keep(_: nn.Module, __: object, output: object) -> None:
            nonlocal last
            if isinstance(output, Tensor) and output.dim() == 4 and output[0, 0].numel() > 1:
                last = output  # not yet pooled

        hooks = [module.register_forward_hook(keep) for module in self.backbone.modules()]
        try:
            features = self.features(images)
        finally:
            for hook in hooks:
                hook.remove()
        logits = self.head(features)
        if last.shape[1] != self.head.in_features:
            return logits, None, features
        with torch.autocast(images.device.type, enabled=False):
            weight = self.head.weight.float()
            return logits, torch.einsum("kf,nfhw->nkhw", weight, last.float()), features


def read_weights(name: str, weights: str) -> dict[str, Tensor]:
    """State dict for the torchvision network ``name``.

    Args:
        name: as ``torchvision.models.get_model`` takes it.
        weights: a name of the network's weights in torchvision ("IMAGENET1K_V1"), which are
            downloaded once, or the file of a state dict.

    Raises:
        DataError: torchvision's weights are not in its cache and cannot be downloaded, or are not
            what the file's name says; the file is missing or not a state dict.
    """
    known = get_model_weights(name)
    if weights not in known.__members__:
        path = expand(weights)
        if not path.is_file():
            names = ", ".join(known.__members__)
            raise DataError(f"{weights}: no such weights file, nor one of {names}, random")
        return read_state_dict(path)
    url = known[weights].url
    path = Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    if not path.is_file():
        patience = socket.getdefaulttimeout()
        socket.setdefaulttimeout(20)  # urllib's default is to wait for ever
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path))
        except OSError as error:
            raise DataError(
                f"{path}: not there and cannot be downloaded ({error}); get it from {url}, "
                "give --model.network.weights a file, or train a small network without them: "
                "--config configs/from_scratch/aoi.yaml behind the config"
            ) from None
        finally:
            socket.setdefaulttimeout(patience)
    with path.open("rb") as file:  # its name ends in the beginning of its SHA-256
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(path.stem.rpartition("-")[2]):
        raise DataError(f"{path}: not the file that its name says; remove it")
    return read_state_dict(path)


def small_cnn() -> nn.Sequential:
    """Six convolutions with batch norm and ReLU, 16 to 128 channels, global average pooling.

    300,000 parameters and 18 M multiplications at 128x128, to be trained from scratch.
    """
    layers: list[nn.Module] = []
    channels = 3
    for width, stride in ((16, 2), (32, 2), (64, 2), (64, 1), (128, 2), (128, 1)):
        size = 5 if channels == 3 else 3
        layers.append(nn.Conv2d(channels, width, size, stride, size // 2, bias=False))
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))
