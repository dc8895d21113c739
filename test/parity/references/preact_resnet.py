"""Pre-activation ResNet, and kuangliu's SENet18, which is one with squeeze-and-excitation."""

import torch
import torch.nn.functional as F
from torch import nn

from references import Reference, cifar
from references.blocks import conv, mean
from references.resnet import DEPTHS, stages


class Unit(nn.Module):
    """Norm and ReLU before each convolution; a projection sees the activated input, an identity the raw one."""

    def __init__(self, i, o, convolutions, stride, excited=False):
        super().__init__()
        self.width, self.count, c = o, len(convolutions), i
        for n, (width, kernel, s) in enumerate(convolutions, 1):
            setattr(self, f"bn{n}", nn.BatchNorm2d(c))
            setattr(self, f"conv{n}", conv(c, width, kernel, s))
            c = width
        if stride > 1 or i != o:
            self.shortcut = nn.Sequential(conv(i, o, 1, stride))
        self.excited = excited
        if excited:
            self.fc1 = nn.Conv2d(o, o // 16, 1)
            self.fc2 = nn.Conv2d(o // 16, o, 1)

    def forward(self, x):
        y = activated = F.relu(self.bn1(x))
        for n in range(1, self.count + 1):
            if n > 1:
                y = F.relu(getattr(self, f"bn{n}")(y))
            y = getattr(self, f"conv{n}")(y)
        if self.excited:
            y = y * torch.sigmoid(self.fc2(F.relu(self.fc1(y.mean((2, 3), keepdim=True)))))
        return y + (self.shortcut(activated) if hasattr(self, "shortcut") else x)


def basic(i, w, s, excited=False):
    return Unit(i, w, [(w, 3, s), (w, 3, 1)], s, excited)


def bottleneck(strided):
    """`strided` says which convolution has the stride."""
    return lambda i, w, s: Unit(i, 4 * w, [(w, 1, s if strided == 1 else 1), (w, 3, s if strided == 2 else 1),
                                           (4 * w, 1, 1)], s)


class Network(nn.Module):
    def __init__(self, classes, stem, units, first_norm=False, last_norm=False):
        super().__init__()
        self.conv1 = conv(3, stem, 3)
        self.bn1 = nn.BatchNorm2d(stem) if first_norm else None
        self.stages = len(units)
        for n, stage in enumerate(units, 1):
            setattr(self, f"layer{n}", nn.Sequential(*stage))
        width = units[-1][-1].width
        self.norm = nn.BatchNorm2d(width) if last_norm else None
        self.linear = nn.Linear(width, classes)

    def forward(self, x):
        x = self.conv1(x)
        if self.bn1:
            x = F.relu(self.bn1(x))
        for n in range(1, self.stages + 1):
            x = getattr(self, f"layer{n}")(x)
        if self.norm:
            x = F.relu(self.norm(x))
        return self.linear(mean(x))


def kuangliu(depth):
    kind, repeats = DEPTHS[depth]
    unit = basic if kind == "basic" else bottleneck(2)
    return lambda classes: Network(classes, 64, stages(unit, 64, [64, 128, 256, 512], repeats))


def paper(depth):
    units = (depth - 2) // 9
    return lambda classes: Network(classes, 16, stages(bottleneck(1), 16, [16, 32, 64], [units] * 3), last_norm=True)


def senet18(classes):
    unit = lambda i, w, s: basic(i, w, s, excited=True)
    return Network(classes, 64, stages(unit, 64, [64, 128, 256, 512], [2, 2, 2, 2]), first_norm=True)


own = ((r"^layer(\d)", r"stage\1"), (r"shortcut\.0", "shortcut"), (r"^linear", "fc"))
references = (
    {(f"preact_resnet{d}", "cifar"): Reference(f"kuangliu PreActResNet{d}", kuangliu(d), "kuangliu", **cifar)
     for d in DEPTHS}
    | {(f"preact_resnet{d}", "cifar"): Reference("paper", paper(d), renames=own, damped=damped, **cifar)
       for d, damped in ((164, None), (1001, "conv3.weight"))}
    | {("se_resnet18", "cifar"): Reference("kuangliu SENet18", senet18, "kuangliu", **cifar)}
)
