"""Dual path networks: timm's for ImageNet, kuangliu's for CIFAR."""

import timm
import torch
import torch.nn.functional as F
from torch import nn

from references import Reference, cifar
from references.blocks import Numbered, mean, projection


def timms(name):
    """Its code asks for an ELU at the end, but it builds a ReLU, as the authors have."""
    return Reference(f"timm {name}", lambda classes: timm.create_model(name, num_classes=classes), "timm")


class Unit(Numbered):
    """The first channels are added to, the others appended to; the activation stands behind both."""

    def __init__(self, i, inner, width, growth, stride, first):
        super().__init__()
        self.add(1, i, inner, 1)
        self.add(2, inner, inner, 3, stride, 32)
        self.add(3, inner, width + growth, 1)
        self.width = width
        self.shortcut = projection(i, width + growth, stride) if first else nn.Sequential()

    def forward(self, x):
        y = self.run(3, self.run(2, self.run(1, x)), False)
        x = self.shortcut(x)
        residual = x[:, : self.width] + y[:, : self.width]
        return F.relu(torch.cat([residual, x[:, self.width :], y[:, self.width :]], 1))


class Small(Numbered):
    def __init__(self, classes, units):
        super().__init__()
        self.add(1, 3, 64, 3)
        i = 64
        for s, (count, growth) in enumerate(zip(units, (16, 32, 24, 128))):
            width, stage = 256 * 2**s, []
            for j in range(count):
                stage.append(Unit(i, 96 * 2**s, width, growth, 2 if s > 0 and j == 0 else 1, j == 0))
                i = width + (j + 2) * growth
            setattr(self, f"layer{s + 1}", nn.Sequential(*stage))
        self.linear = nn.Linear(i, classes)

    def forward(self, x):
        x = self.run(1, x)
        for s in range(1, 5):
            x = getattr(self, f"layer{s}")(x)
        return self.linear(mean(x))


def kuangliu(depth, units):
    return Reference(f"kuangliu DPN{depth}", lambda classes: Small(classes, units), "kuangliu", **cifar)


LARGE = [f"dpn{depth}" for depth in (68, 92, 98, 107, 131)]

references = (
    {(name, "imagenet"): timms(name) for name in LARGE}
    | {("dpn26", "cifar"): kuangliu(26, (2, 2, 2, 2)), ("dpn92", "cifar"): kuangliu(92, (3, 4, 20, 3))}
)
