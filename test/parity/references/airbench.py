"""Airbench: the network of Jordan 2024, with a whitening convolution that keeps the resolution."""

import torch.nn.functional as F
from torch import nn

from references import Reference, cifar
from references.blocks import conv


class Norm(nn.BatchNorm2d):
    """Quick to follow, and without a scale to learn."""

    def __init__(self, width):
        super().__init__(width, eps=1e-12, momentum=0.4)
        self.weight.requires_grad_(False)


class Pair(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv1, self.norm1 = conv(i, o, 3), Norm(o)
        self.conv2, self.norm2 = conv(o, o, 3), Norm(o)

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class Airbench(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.pair1, self.pair2, self.pair3 = Pair(24, 64), Pair(64, 256), Pair(256, 256)
        self.fc = nn.Linear(256, classes, bias=False)

    def forward(self, x):
        x = F.gelu(self.whiten(F.pad(x, (0, 1, 0, 1))))
        x = self.pair3(self.pair2(self.pair1(x)))
        return self.fc(x.amax((2, 3))) / 9


references = {("airbench94", "cifar"): Reference("KellerJordan airbench94, sides 32, 16, 8, 4", Airbench, **cifar)}
