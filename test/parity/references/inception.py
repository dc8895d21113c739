"""GoogLeNet (torchvision, kuangliu, the paper's own) and Inception-v3 (torchvision, weiaicunzai)."""

import torch
import torch.nn.functional as F
from torch import nn

from references import Reference, cifar, torchvision
from references.blocks import mean

# 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection
MODULES = {"a3": (64, 96, 128, 16, 32, 32), "b3": (128, 128, 192, 32, 96, 64), "a4": (192, 96, 208, 16, 48, 64),
           "b4": (160, 112, 224, 24, 64, 64), "c4": (128, 128, 256, 24, 64, 64), "d4": (112, 144, 288, 32, 64, 64),
           "e4": (256, 160, 320, 32, 128, 128), "a5": (256, 160, 320, 32, 128, 128),
           "b5": (384, 192, 384, 48, 128, 128)}


def step(i, o, kernel):
    return [nn.Conv2d(i, o, kernel, padding=kernel // 2), nn.BatchNorm2d(o), nn.ReLU()]


def plain_step(i, o, kernel):
    return [nn.Conv2d(i, o, kernel, padding=kernel // 2), nn.ReLU()]


class Module(nn.Module):
    """`factored`: two 3×3 in place of a 5×5."""

    def __init__(self, i, widths, step, factored):
        super().__init__()
        one, reduce3, three, reduce5, five, proj = widths
        large = [*step(reduce5, five, 3), *step(five, five, 3)] if factored else step(reduce5, five, 5)
        self.b1 = nn.Sequential(*step(i, one, 1))
        self.b2 = nn.Sequential(*step(i, reduce3, 1), *step(reduce3, three, 3))
        self.b3 = nn.Sequential(*step(i, reduce5, 1), *large)
        self.b4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), *step(i, proj, 1))
        self.width = one + three + five + proj

    def forward(self, x):
        return torch.cat([self.b1(x), self.b2(x), self.b3(x), self.b4(x)], 1)


class Named(nn.Module):
    """A convolution `conv` with its norm `bn`, where there is one."""

    def __init__(self, layers):
        super().__init__()
        self.conv = layers[0]
        self.bn = layers[1] if len(layers) > 2 else nn.Identity()

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Auxiliary(nn.Module):
    def __init__(self, i, step, pool, classes):
        super().__init__()
        self.pool, self.conv = pool, Named(step(i, 128, 1))
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(self.conv(self.pool(x)).flatten(1))))


class GoogLeNet(nn.Module):
    def __init__(self, stem, i, step, factored, pool, auxiliary_pool, classes):
        super().__init__()
        self.pre_layers, self.pool = stem, pool
        for name, widths in MODULES.items():
            setattr(self, name, Module(i, widths, step, factored))
            i = getattr(self, name).width
        self.aux1 = Auxiliary(512, step, auxiliary_pool, classes)
        self.aux2 = Auxiliary(528, step, auxiliary_pool, classes)
        self.linear = nn.Linear(1024, classes)

    def forward(self, x):
        x, sides = self.pre_layers(x), []
        for name in MODULES:
            if name in ("a4", "a5"):
                x = self.pool(x)
            x = getattr(self, name)(x)
            if self.training and name in ("a4", "d4"):
                sides.append((self.aux1 if name == "a4" else self.aux2)(x))
        x = self.linear(mean(x))
        return (x, *sides) if self.training else x


def kuangliu(classes):
    """Its auxiliary classifiers are dlcourse's, as torchvision's; the repository has none."""
    pools = nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(4)
    return GoogLeNet(nn.Sequential(*step(3, 192, 3)), 192, step, True, *pools, classes)


class ResponseNorm(nn.Module):
    """a / (1 + 10⁻⁴ · mean of a² over five channels)^¾, as Caffe has it: zeros outside count in the mean."""

    def forward(self, x):
        squares = F.pad(x * x, (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).mean(-1)
        return x / (1 + 1e-4 * squares) ** 0.75


def paper(classes):
    """Caffe's pools, whose last window may hang over the end."""
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), pool, ResponseNorm(), *plain_step(64, 64, 1),
                         *plain_step(64, 192, 3), ResponseNorm(), pool)
    return GoogLeNet(stem, 192, plain_step, False, pool, nn.AvgPool2d(5, 3), classes)


def branch(match):
    """Of the paper's network: dlcourse's name of a convolution in a branch."""
    number, place = match[3], match[4]
    name = {"1": "1x1", "2": "3x3.reduce" if place == "0" else "3x3.conv",
            "3": "5x5.reduce" if place == "0" else "5x5.conv", "4": "pool.proj"}[number]
    return f"inception{match[2]}{match[1]}.{name}.conv."


own = ((r"^pre_layers\.0", "stem.conv1.conv"), (r"^pre_layers\.4", "stem.conv2.conv"),
       (r"^pre_layers\.6", "stem.conv3.conv"), (r"^([a-e])(\d)\.b(\d)\.(\d)\.", branch),
       (r"^aux1", "side4a.aux1"), (r"^aux2", "side4d.aux2"), (r"^linear", "fc"))


class Basic(nn.Module):
    def __init__(self, i, o, kernel, stride=1, padding=0):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(i, o, kernel, stride, padding, bias=False), nn.BatchNorm2d(o)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def chain(i, *shapes):
    """Basics one behind the other: (out, kernel[, stride]); `same` size where the stride is 1."""
    layers = []
    for o, kernel, *stride in shapes:
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        padding = (0, 0) if stride else (kernel[0] // 2, kernel[1] // 2)
        layers.append(Basic(i, o, kernel, stride[0] if stride else 1, padding))
        i = o
    return nn.Sequential(*layers) if len(layers) > 1 else layers[0]


def average(i, o, kernel):
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), chain(i, (o, kernel)))


class Joined(nn.Module):
    """Branches side by side."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return torch.cat([part(x) for part in self.children()], 1)


class Split(nn.Module):
    """The modules whose branches end in 1×3 beside 3×1."""

    def __init__(self, i):
        super().__init__()
        self.branch1x1 = chain(i, (320, 1))
        self.branch3x3_1 = chain(i, (384, 1))
        self.branch3x3stack_1, self.branch3x3stack_2 = chain(i, (448, 1)), chain(448, (384, 3))
        for name in ("branch3x3_2", "branch3x3stack_3"):
            self.add_module(f"{name}a", chain(384, (384, (1, 3))))
            self.add_module(f"{name}b", chain(384, (384, (3, 1))))
        self.branch_pool = average(i, 192, 1)

    def forward(self, x):
        y = self.branch3x3_1(x)
        z = self.branch3x3stack_2(self.branch3x3stack_1(x))
        return torch.cat([self.branch1x1(x), self.branch3x3_2a(y), self.branch3x3_2b(y), self.branch3x3stack_3a(z),
                          self.branch3x3stack_3b(z), self.branch_pool(x)], 1)


def grid35(i, pool):
    return Joined(branch1x1=chain(i, (64, 1)), branch5x5=chain(i, (48, 1), (64, 5)),
                  branch3x3=chain(i, (64, 1), (96, 3), (96, 3)), branchpool=average(i, pool, 3))


def grid17(c):
    wide, tall = (1, 7), (7, 1)
    return Joined(branch1x1=chain(768, (192, 1)), branch7x7=chain(768, (c, 1), (c, tall), (192, wide)),
                  branch7x7stack=chain(768, (c, 1), (c, tall), (c, wide), (c, tall), (192, wide)),
                  branch_pool=average(768, 192, 1))


class SmallInception(nn.Module):
    """weiaicunzai's; the auxiliary classifier is dlcourse's: torchvision's, its last window the whole grid."""

    def __init__(self, classes):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = chain(3, (32, 3)), chain(32, (32, 3))
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = chain(32, (64, 3)), chain(64, (80, 1))
        self.Conv2d_4a_3x3 = Basic(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = grid35(192, 32), grid35(256, 64), grid35(288, 64)
        self.Mixed_6a = Joined(branch3x3=chain(288, (384, 3, 2)), branch3x3stack=chain(288, (64, 1), (96, 3), (96, 3, 2)),
                               branchpool=nn.MaxPool2d(3, 2))
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (grid17(c) for c in (128, 160, 160, 192))
        self.AuxLogits = nn.Module()
        self.AuxLogits.conv0, self.AuxLogits.conv1 = Basic(768, 128, 1), Basic(128, 768, 4)
        self.AuxLogits.fc = nn.Linear(768, classes)
        self.Mixed_7a = Joined(branch3x3=chain(768, (192, 1), (320, 3, 2)),
                               branch7x7=chain(768, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
                               branchpool=nn.AvgPool2d(3, 2))
        self.Mixed_7b, self.Mixed_7c = Split(1280), Split(2048)
        self.linear = nn.Linear(2048, classes)

    def forward(self, x):
        for name, module in self.named_children():
            if name == "AuxLogits":
                side = module.fc(mean(module.conv1(module.conv0(F.avg_pool2d(x, 5, 3))))) if self.training else None
            elif name == "linear":
                x = module(mean(x))
            else:
                x = module(x)
        return (x, side) if self.training else x


references = {
    ("googlenet", "imagenet"): torchvision("googlenet", auxiliary=(0.3, 0.3), aux_logits=True, init_weights=False),
    ("googlenet", "cifar"): Reference("kuangliu GoogLeNet", kuangliu, "kuangliu", auxiliary=(0.3, 0.3),
                                      **cifar | {"side": 32}),
    ("googlenet_2014", "imagenet"): Reference("paper and Caffe", paper, auxiliary=(0.3, 0.3), renames=own, side=224),
    # The last window of the auxiliary classifier needs the whole size.
    ("inception_v3", "imagenet"): torchvision("inception_v3", side=299, full=299, auxiliary=(0.4,), aux_logits=True,
                                              init_weights=False),
    ("inception_v3", "cifar"): Reference("weiaicunzai inceptionv3", SmallInception, "weiaicunzai", auxiliary=(0.4,),
                                         **cifar | {"side": 32, "classes": 100}),
}
