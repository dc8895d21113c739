"""MobileNet v1 (TF-slim's padding, kuangliu's for CIFAR) and v2 (torchvision's, kuangliu's)."""

import torch.nn.functional as F
from timm.models.efficientnet import _gen_mobilenet_v1
from torch import nn

from references import Reference, cifar, torchvision
from references.blocks import Numbered, mean, projection

WIDTHS = {"": 1, "_x0_75": 0.75, "_x0_5": 0.5, "_x0_25": 0.25}
UNITS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


class Separable(Numbered):
    def __init__(self, i, o, stride):
        super().__init__()
        self.add(1, i, i, 3, stride, i)
        self.add(2, i, o, 1)

    def forward(self, x):
        return self.run(2, self.run(1, x))


class Small(Numbered):
    unit, stride = Separable, 1

    def __init__(self, multiplier, classes):
        super().__init__()
        widths = [max(int(c * multiplier), 8) for c in (32, *[c for c, _ in UNITS])]
        self.add(1, 3, widths[0], 3, self.stride)
        self.layers = nn.Sequential(*[self.unit(i, o, s) for i, o, (_, s) in zip(widths, widths[1:], UNITS)])
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, x):
        return self.linear(mean(self.layers(self.run(1, x))))


class SameConv(nn.Conv2d):
    """TensorFlow's SAME: what ⌈n/s⌉ windows need, the odd pixel behind."""

    def __init__(self, i, o, kernel, stride, groups):
        super().__init__(i, o, kernel, stride, groups=groups, bias=False)

    def forward(self, x):
        pads = []
        for n in (x.shape[3], x.shape[2]):
            total = max((-(-n // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - n, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))


class Tensorflow:
    convolution, eps, act = SameConv, 1e-3, staticmethod(F.relu6)


class LargeSeparable(Tensorflow, Separable):
    pass


class Large(Tensorflow, Small):
    unit, stride = LargeSeparable, 2


class Inverted(Numbered):
    """Always expands; a 1×1 shortcut with a norm where the width changes at stride 1."""

    def __init__(self, i, o, expansion, stride):
        super().__init__()
        inner = i * expansion
        self.add(1, i, inner, 1)
        self.add(2, inner, inner, 3, stride, inner)
        self.add(3, inner, o, 1)
        self.stride, self.shortcut = stride, nn.Sequential()
        if stride == 1 and i != o:
            self.shortcut = projection(i, o)

    def forward(self, x):
        y = self.run(3, self.run(2, self.run(1, x)), False)
        return y + self.shortcut(x) if self.stride == 1 else y


def rounded(width):
    """To the nearest 8, never below nine tenths."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest


class SmallV2(Numbered):
    def __init__(self, multiplier, classes):
        super().__init__()
        i = rounded(32 * multiplier)
        self.add(1, 3, i, 3)
        units = []
        for expansion, width, repeats, stride in ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2),
                                                  (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
            for j in range(repeats):
                units.append(Inverted(i, rounded(width * multiplier), expansion, 1 if j else stride))
                i = rounded(width * multiplier)
        self.layers = nn.Sequential(*units)
        head = rounded(1280 * max(1, multiplier))
        self.add(2, i, head, 1)
        self.linear = nn.Linear(head, classes)

    def forward(self, x):
        return self.linear(mean(self.run(2, self.layers(self.run(1, x)))))


def of_width(network, multiplier):
    return lambda classes: network(multiplier, classes)


def timms(multiplier):
    make = lambda classes: _gen_mobilenet_v1("mobilenetv1_100", channel_multiplier=multiplier, num_classes=classes)
    return Reference(f"timm mobilenetv1_100, width {multiplier}", make, "timm")


WIDTHS_V2 = {"": 1, "_x0_25": 0.25, "_x0_35": 0.35, "_x0_5": 0.5, "_x0_75": 0.75, "_x1_3": 1.3, "_x1_4": 1.4}
references = (
    {(f"mobilenet_v1{name}", "imagenet"): Reference(f"TF-slim mobilenet_v1, width {m}", of_width(Large, m), "kuangliu")
     for name, m in WIDTHS.items()}
    | {(f"mobilenet_v1{name}", "cifar"): Reference(f"kuangliu MobileNet, width {m}", of_width(Small, m), "kuangliu",
                                                   **cifar) for name, m in WIDTHS.items()}
    | {(f"mobilenet_v1_symmetric{name}", "imagenet"): timms(m) for name, m in WIDTHS.items()}
    | {(f"mobilenet_v2{name}", "cifar"): Reference(f"kuangliu MobileNetV2, width {m}", of_width(SmallV2, m), "kuangliu",
                                                   **cifar) for name, m in WIDTHS_V2.items()}
    | {(f"mobilenet_v2{name}", "imagenet"): torchvision("mobilenet_v2", title=f"mobilenet_v2, width {m}", width_mult=m)
       for name, m in WIDTHS_V2.items()}
)
