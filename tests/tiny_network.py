"""A network of one convolution under a name, as if torchvision had it.

AOI's tests train it in two thirds of the time of torchvision's smallest. Where processes are not
forked they are started by ``python -m tests.tiny_network fit ...``.
"""

from torch import nn
from torchvision import models

from lit_models.networks import torchvision_classifier

NAME = "tiny"


def tiny():
    layers = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 1000))


def get_model(name, **options):
    return tiny() if name == NAME else models.get_model(name, **options)


def list_models(module):
    return [NAME, *models.list_models(module)]


torchvision_classifier.get_model = get_model
torchvision_classifier.list_models = list_models

if __name__ == "__main__":
    from commandline.verbs import run

    run()
