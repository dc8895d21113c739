"""Xception: timm's (Cadene's) and weiaicunzai's."""

import timm
import torch.nn.functional as F
from torch import nn

from references import Reference, cifar
from references.blocks import mean


class Separable(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.depthwise = nn.Conv2d(i, i, 3, padding=1, groups=i, bias=False)
        self.pointwise = nn.Conv2d(i, o, 1, bias=False)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


def step(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())


def residual(i, first, o, stride, lead=True):
    """Two separable convolutions and a pool; `lead`: with an activation in front, in place."""
    return nn.Sequential(*[nn.ReLU() for _ in range(lead)], Separable(i, first), nn.BatchNorm2d(first), nn.ReLU(), Separable(first, o),
                         nn.BatchNorm2d(o), nn.MaxPool2d(3, stride, 1))


def shortcut(i, o, stride):
    return nn.Sequential(nn.Conv2d(i, o, 1, stride), nn.BatchNorm2d(o))


class Middle(nn.Module):
    def __init__(self):
        super().__init__()
        for n in (1, 2, 3):
            self.add_module(f"conv{n}", nn.Sequential(nn.ReLU(), Separable(728, 728), nn.BatchNorm2d(728)))

    def forward(self, x):
        # Activations in place: the shortcut sees them too.
        return self.conv3(self.conv2(self.conv1(x))) + F.relu(x)


class SmallXception(nn.Module):
    def __init__(self, classes):
        super().__init__()
        entry = self.entry_flow = nn.Module()
        entry.conv1, entry.conv2 = step(3, 32), step(32, 64)
        for n, i, o, stride in ((3, 64, 128, 2), (4, 128, 256, 2), (5, 256, 728, 1)):
            entry.add_module(f"conv{n}_residual", residual(i, o, o, stride, n > 3))
            entry.add_module(f"conv{n}_shortcut", shortcut(i, o, stride))
        self.middel_flow = nn.Module()
        self.middel_flow.middel_block = nn.Sequential(*[Middle() for _ in range(8)])
        leave = self.exit_flow = nn.Module()
        leave.residual, leave.shortcut = residual(728, 728, 1024, 2), shortcut(728, 1024, 2)
        leave.conv = nn.Sequential(Separable(1024, 1536), nn.BatchNorm2d(1536), nn.ReLU(), Separable(1536, 2048),
                                   nn.BatchNorm2d(2048), nn.ReLU())
        self.fc = nn.Linear(2048, classes)

    def forward(self, x):
        entry, leave = self.entry_flow, self.exit_flow
        x = entry.conv2(entry.conv1(x))
        x = entry.conv3_residual(x) + entry.conv3_shortcut(x)
        x = entry.conv4_residual(x) + entry.conv4_shortcut(F.relu(x))
        x = entry.conv5_residual(x) + entry.conv5_shortcut(F.relu(x))
        x = self.middel_flow.middel_block(x)
        x = leave.residual(x) + leave.shortcut(x)
        return self.fc(mean(leave.conv(x)))


references = {
    ("xception", "imagenet"): Reference("timm legacy_xception",
                                        lambda classes: timm.create_model("legacy_xception", num_classes=classes),
                                        "timm", full=299),
    ("xception", "cifar"): Reference("weiaicunzai xception", SmallXception, "weiaicunzai", **cifar | {"classes": 100}),
}
