"""ResNet, wide ResNet, ResNeXt: torchvision's, and the forms for CIFAR."""

import timm
import torch.nn.functional as F
from torch import nn

from references import Reference, cifar, torchvision
from references.blocks import Numbered, mean, projection

DEPTHS = {18: ("basic", [2, 2, 2, 2]), 34: ("basic", [3, 4, 6, 3]), 50: ("bottleneck", [3, 4, 6, 3]),
          101: ("bottleneck", [3, 4, 23, 3]), 152: ("bottleneck", [3, 8, 36, 3])}


class Unit(Numbered):
    """Two 3×3, or a bottleneck 1×1, 3×3 (with the stride), 1×1; the activation stands behind the sum."""

    def __init__(self, i, inner, o, stride, kind, groups=1):
        super().__init__()
        if kind == "basic":
            shapes = [(i, o, 3, stride), (o, o, 3)]
        else:
            shapes = [(i, inner, 1), (inner, inner, 3, stride, groups), (inner, o, 1)]
        self.count = len(shapes)
        for n, shape in enumerate(shapes, 1):
            self.add(n, *shape)
        self.shortcut = projection(i, o, stride) if stride > 1 or i != o else nn.Sequential()

    def forward(self, x):
        y = x
        for n in range(1, self.count + 1):
            y = self.run(n, y, n < self.count)
        return F.relu(y + self.shortcut(x))


class Small(Numbered):
    """A network for CIFAR: a stem of stride 1, stages of units (in, inner, out, stride), mean, linear."""

    def __init__(self, classes, units, stem=(64, 3)):
        super().__init__()
        self.add(1, 3, *stem)
        self.stages = len(units)
        for n, stage in enumerate(units, 1):
            setattr(self, f"layer{n}", nn.Sequential(*stage))
        self.linear = nn.Linear(units[-1][-1].width, classes)

    def forward(self, x):
        x = self.run(1, x)
        for n in range(1, self.stages + 1):
            x = getattr(self, f"layer{n}")(x)
        return self.linear(mean(x))


def stages(make, start, widths, repeats):
    """make(in, width, stride) for every unit; returns lists of units that know their output width."""
    result, i = [], start
    for s, (width, count) in enumerate(zip(widths, repeats)):
        stage = []
        for j in range(count):
            unit = make(i, width, 2 if s > 0 and j == 0 else 1)
            i = unit.width
            stage.append(unit)
        result.append(stage)
    return result


def sized(unit, width):
    unit.width = width
    return unit


def kuangliu(depth):
    kind, repeats = DEPTHS[depth]
    expansion = 1 if kind == "basic" else 4
    make = lambda i, w, s: sized(Unit(i, w, w * expansion, s, kind), w * expansion)
    return lambda classes: Small(classes, stages(make, 64, [64, 128, 256, 512], repeats))


def wider(groups, base, repeats):
    """Bottlenecks of ⌊width · base / 64⌋ · groups channels, four times as wide outside."""
    make = lambda i, w, s: sized(Unit(i, w * base // 64 * groups, 4 * w, s, "bottleneck", groups), 4 * w)
    return lambda classes: Small(classes, stages(make, 64, [64, 128, 256, 512][: len(repeats)], repeats))


def kuangliu_resnext(groups, base):
    """A 1×1 stem; the inside doubles from groups · base, and the outside is twice the inside."""
    make = lambda i, w, s: sized(Unit(i, w, 2 * w, s, "bottleneck", groups), 2 * w)
    widths = [groups * base * 2**n for n in range(3)]
    return lambda classes: Small(classes, stages(make, 64, widths, [3, 3, 3]), (64, 1))


class UnitA(Numbered):
    """Shortcut of type A: every second pixel, zero channels on both sides."""

    def __init__(self, i, o, stride):
        super().__init__()
        self.add(1, i, o, 3, stride)
        self.add(2, o, o, 3)
        self.width, self.added, self.stride = o, o - i, stride

    def forward(self, x):
        y = self.run(2, self.run(1, x), False)
        x = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(x, (0, 0, 0, 0, self.added // 2, self.added // 2)))


def akamaster(depth):
    blocks = (depth - 2) // 6
    return lambda classes: Small(classes, stages(UnitA, 16, [16, 32, 64], [blocks] * 3), (16, 3))


# From the names of Small to torchvision's, and to dlcourse's.
as_torchvision = ((r"shortcut", "downsample"), (r"^linear", "fc"))
own = ((r"^conv1\.", "stem.conv."), (r"^bn1\.", "stem.bn."), (r"^layer(\d)\.(\d+)\.", r"stage\1.\2.sum."),
       (r"shortcut\.0", "shortcut.conv"), (r"shortcut\.1", "shortcut.bn"), (r"^linear", "fc"))

LARGE = {"wide_resnet50_2": (1, 128, DEPTHS[50][1]), "wide_resnet101_2": (1, 128, DEPTHS[101][1]),
         "resnext50_32x4d": (32, 4, DEPTHS[50][1]), "resnext101_32x4d": (32, 4, DEPTHS[101][1]),
         "resnext101_32x8d": (32, 8, DEPTHS[101][1]), "resnext101_64x4d": (64, 4, DEPTHS[101][1])}


references = (
    {(f"resnet{d}", "imagenet"): torchvision(f"resnet{d}") for d in DEPTHS}
    | {(f"resnet{d}", "cifar"): Reference(f"kuangliu ResNet{d}", kuangliu(d), "kuangliu",
                                          damped="bn3.weight" if d == 152 else None, **cifar) for d in DEPTHS}
    | {(f"resnet{d}", "cifar"): Reference(f"akamaster resnet{d}", akamaster(d), "akamaster",
                                             damped="bn2.weight" if d == 1202 else None, **cifar)
       for d in (20, 32, 44, 56, 110, 1202)}
    | {(name, "imagenet"): torchvision(name) for name in LARGE if name != "resnext101_32x4d"}
    | {("resnext101_32x4d", "imagenet"):
       Reference("timm resnext101_32x4d", lambda classes: timm.create_model("resnext101_32x4d", num_classes=classes), "timm")}
    | {(name, "cifar"): Reference(f"torchvision {name} with a 3×3 stem", wider(*how), "torchvision",
                                  damped="bn3.weight" if "101_2" in name else None, renames=as_torchvision, **cifar)
       for name, how in LARGE.items()}
    | {(f"resnext29_{g}x{b}d", "cifar"): Reference("paper", wider(g, b, [3, 3, 3]), renames=own, **cifar)
       for g, b in ((2, 64), (8, 64), (16, 64), (32, 4))}
    | {(f"resnext29_{g}x{b}d_kuangliu", "cifar"):
       Reference(f"kuangliu ResNeXt29_{g}x{b}d", kuangliu_resnext(g, b), "kuangliu", **cifar)
       for g, b in ((2, 64), (4, 64), (8, 64), (32, 4))}
)
