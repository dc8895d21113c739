"""ShuffleNet v1 (paper, megvii, kuangliu) and v2 (torchvision, kuangliu)."""

import torch
import torch.nn.functional as F
from torch import nn

from references import Reference, cifar, torchvision
from references.blocks import Numbered, conv, mean, shuffle


class PaperUnit(nn.Module):
    """Figure 2 (b, c): shuffled before the depthwise convolution; a quarter of the stage's width inside."""

    def __init__(self, i, width, groups, stride, first):
        super().__init__()
        added = width - i if stride == 2 else width
        inner = width // 4
        step = lambda *shape: nn.Sequential(conv(*shape), nn.BatchNorm2d(shape[1]))
        self.reduce = step(i, inner, 1, 1, 1 if first else groups)
        self.depthwise = step(inner, inner, 3, stride, inner)
        self.expand = step(inner, added, 1, 1, groups)
        self.groups, self.stride = groups, stride

    def forward(self, x):
        y = shuffle(F.relu(self.reduce(x)), self.groups)
        y = self.expand(self.depthwise(y))
        if self.stride == 1:
            return F.relu(x + y)
        return F.relu(torch.cat([F.avg_pool2d(x, 3, 2, 1), y], 1))


class MegviiUnit(nn.Module):
    """Behind the depthwise convolution, channel (j, g) goes to place (g, j): the inverse shuffle."""

    def __init__(self, i, width, groups, stride, first):
        super().__init__()
        added = width - i if stride == 2 else width
        inner = width // 4
        self.branch_main_1 = nn.Sequential(
            conv(i, inner, 1, 1, 1 if first else groups), nn.BatchNorm2d(inner), nn.ReLU(),
            conv(inner, inner, 3, stride, inner), nn.BatchNorm2d(inner))
        self.branch_main_2 = nn.Sequential(conv(inner, added, 1, 1, groups), nn.BatchNorm2d(added))
        self.groups, self.stride = groups, stride

    def forward(self, x):
        y = self.branch_main_1(x)
        y = self.branch_main_2(shuffle(y, y.shape[1] // self.groups))
        if self.stride == 1:
            return F.relu(x + y)
        return torch.cat([F.avg_pool2d(x, 3, 2, 1), F.relu(y)], 1)


class Large(nn.Module):
    def __init__(self, unit, groups, width, stem, bias, classes):
        super().__init__()
        self.first_conv = nn.Sequential(conv(3, stem, 3, 2), nn.BatchNorm2d(stem), nn.ReLU())
        units, i = [], stem
        for stage, repeats in enumerate((4, 8, 4)):
            for j in range(repeats):
                units.append(unit(i, width * 2**stage, groups, 1 if j else 2, stage == j == 0))
                i = width * 2**stage
        self.features = nn.Sequential(*units)
        self.classifier = nn.Sequential(nn.Linear(i, classes, bias))

    def forward(self, x):
        return self.classifier(mean(self.features(F.max_pool2d(self.first_conv(x), 3, 2, 1))))


def large(unit, groups, width, stem=24, bias=True):
    return lambda classes: Large(unit, groups, width, stem, bias, classes)


class SmallUnit(Numbered):
    """A quarter of what is added inside; ReLU behind the depthwise convolution; [main, pool]."""

    def __init__(self, i, width, groups, stride):
        super().__init__()
        added = width - i if stride == 2 else width
        inner = added // 4
        self.before = 1 if i == 24 else groups
        self.add(1, i, inner, 1, 1, self.before)
        self.add(2, inner, inner, 3, stride, inner)
        self.add(3, inner, added, 1, 1, groups)
        self.stride = stride

    def forward(self, x):
        y = self.run(3, self.run(2, shuffle(self.run(1, x), self.before)), False)
        return F.relu(x + y if self.stride == 1 else torch.cat([y, F.avg_pool2d(x, 3, 2, 1)], 1))


class Small(Numbered):
    def __init__(self, groups, width, classes):
        super().__init__()
        self.add(1, 3, 24, 1)
        i = 24
        for n, repeats in enumerate((4, 8, 4), 1):
            units = []
            for j in range(repeats):
                units.append(SmallUnit(i, width, groups, 1 if j else 2))
                i = width
            setattr(self, f"layer{n}", nn.Sequential(*units))
            width *= 2
        self.linear = nn.Linear(i, classes)

    def forward(self, x):
        return self.linear(mean(self.layer3(self.layer2(self.layer1(self.run(1, x))))))


def small(groups, width):
    return lambda classes: Small(groups, width, classes)


class Half(Numbered):
    """Stride 1: the second half goes through, the first passes."""

    def __init__(self, width):
        super().__init__()
        half = width // 2
        self.add(1, half, half, 1)
        self.add(2, half, half, 3, 1, half)
        self.add(3, half, half, 1)

    def forward(self, x):
        a, b = x.chunk(2, 1)
        return shuffle(torch.cat([a, self.run(3, self.run(2, self.run(1, b), False))], 1), 2)


class Down(Numbered):
    """Stride 2: both branches see all channels."""

    def __init__(self, i, width):
        super().__init__()
        half = width // 2
        self.add(1, i, i, 3, 2, i)
        self.add(2, i, half, 1)
        self.add(3, i, half, 1)
        self.add(4, half, half, 3, 2, half)
        self.add(5, half, half, 1)

    def forward(self, x):
        a = self.run(2, self.run(1, x, False))
        b = self.run(5, self.run(4, self.run(3, x), False))
        return shuffle(torch.cat([a, b], 1), 2)


class SmallV2(Numbered):
    def __init__(self, widths, head, classes):
        super().__init__()
        self.add(1, 3, 24, 3)
        i = 24
        for n, (width, repeats) in enumerate(zip(widths, (3, 7, 3)), 1):
            setattr(self, f"layer{n}", nn.Sequential(Down(i, width), *[Half(width) for _ in range(repeats)]))
            i = width
        self.add(2, i, head, 1)
        self.linear = nn.Linear(head, classes)

    def forward(self, x):
        return self.linear(mean(self.run(2, self.layer3(self.layer2(self.layer1(self.run(1, x)))))))


def small_v2(widths, head):
    return lambda classes: SmallV2(widths, head, classes)


def place(match):
    n = int(match[1])
    stage, unit = (2, n) if n < 4 else (3, n - 4) if n < 12 else (4, n - 12)
    return f"stage{stage}.{unit}.branch."


own = ((r"^first_conv\.0", "conv1.conv"), (r"^first_conv\.1", "conv1.bn"), (r"^features\.(\d+)\.", place),
       (r"\.(reduce|depthwise|expand)\.0", r".\1.conv"), (r"\.(reduce|depthwise|expand)\.1", r".\1.bn"),
       (r"^classifier\.0", "fc"))
MEGVII = {"g3_x0_5": (3, 120, 12), "g3_x1_0": (3, 240, 24), "g3_x1_5": (3, 360, 24), "g3_x2_0": (3, 480, 48),
          "g8_x0_5": (8, 192, 16), "g8_x1_0": (8, 384, 24), "g8_x1_5": (8, 576, 24), "g8_x2_0": (8, 768, 48)}
V2 = {"0_5": ([48, 96, 192], 1024), "1_0": ([116, 232, 464], 1024), "1_5": ([176, 352, 704], 1024),
      "2_0": ([224, 488, 976], 2048)}
references = (
    {(f"shufflenet_v1_g{g}", "imagenet"): Reference("paper", large(PaperUnit, g, width), renames=own, seed=8 if g == 4 else 7)
     for g, width in ((1, 144), (2, 200), (3, 240), (4, 272), (8, 384))}
    | {(f"shufflenet_v1_{name}", "imagenet"):
       Reference(f"megvii ShuffleNetV1 {name}", large(MegviiUnit, g, width, stem, False), "megvii")
       for name, (g, width, stem) in MEGVII.items()}
    | {(f"shufflenet_v1_g{g}", "cifar"): Reference(f"kuangliu ShuffleNetG{g}", small(g, width), "kuangliu", **cifar)
       for g, width in ((2, 200), (3, 240))}
    | {(f"shufflenet_v2_x{text}", "imagenet"): torchvision(f"shufflenet_v2_x{text}") for text in V2}
    | {(f"shufflenet_v2_x{text}", "cifar"): Reference(f"kuangliu ShuffleNetV2 x{text}", small_v2(*how), "kuangliu", **cifar)
       for text, how in V2.items()}
)
