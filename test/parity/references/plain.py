"""LeNet, AlexNet, VGG, SqueezeNet."""

import torch
import torch.nn.functional as F
from torch import nn

from references import Reference, cifar, torchvision
from references.blocks import mean


class LeNet5(nn.Module):
    """Dense C3, subsampling without parameters, tanh, a linear output."""

    def __init__(self, classes):
        super().__init__()
        self.c1, self.c3 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.c5, self.f6, self.output = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        x = F.avg_pool2d(self.c1(x).tanh(), 2)
        x = F.avg_pool2d(self.c3(x).tanh(), 2)
        return self.output(self.f6(self.c5(x.flatten(1)).tanh()).tanh())


class KuangliuLeNet(nn.Module):
    """Three channels, ReLU, max pools, no padding."""

    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


def response_norm(x):
    """b = a / (2 + 10⁻⁴ Σ a²)^¾ over five channels: the paper's section 3.3."""
    squares = F.pad(x * x, (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
    return x / (2 + 1e-4 * squares) ** 0.75


class AlexNet(nn.Module):
    """The paper's has two groups in conv2, 4, 5, and response norm behind ReLU, before the first two pools.

    For CIFAR conv1 is 5×5 without stride, the last pool leaves 3×3 pixels, hidden layers have 1024 units.
    """

    def __init__(self, grouped, small, classes):
        super().__init__()
        a, b, c, d, e = (96, 256, 384, 384, 256) if grouped else (64, 192, 384, 256, 256)
        groups, hidden = 2 if grouped else 1, 1024 if small else 4096
        self.conv1 = nn.Conv2d(3, a, 5, padding=2) if small else nn.Conv2d(3, a, 11, 4)
        self.conv2 = nn.Conv2d(a, b, 5, padding=2, groups=groups)
        self.conv3 = nn.Conv2d(b, c, 3, padding=1)
        self.conv4 = nn.Conv2d(c, d, 3, padding=1, groups=groups)
        self.conv5 = nn.Conv2d(d, e, 3, padding=1, groups=groups)
        self.pixels = 3 if small else 6
        self.norm = response_norm if grouped else nn.Identity()
        self.fc6, self.fc7 = nn.Linear(256 * self.pixels**2, hidden), nn.Linear(hidden, hidden)
        self.fc8 = nn.Linear(hidden, classes)

    def forward(self, x):
        x = F.max_pool2d(self.norm(F.relu(self.conv1(x))), 3, 2)
        x = F.max_pool2d(self.norm(F.relu(self.conv2(x))), 3, 2)
        x = F.relu(self.conv5(F.relu(self.conv4(F.relu(self.conv3(x))))))
        x = F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2), self.pixels).flatten(1)
        return self.fc8(F.relu(self.fc7(F.relu(self.fc6(x)))))


def alexnet(grouped, small):
    return lambda classes: AlexNet(grouped, small, classes)


COLUMNS = {"vgg11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
           "vgg13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
           "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
           "vgg19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"}


class SmallVgg(nn.Module):
    """Five pools down to one pixel, one linear layer."""

    def __init__(self, column, norm, classes):
        super().__init__()
        layers, c = [], 3
        for width in COLUMNS[column].split():
            if width == "M":
                layers.append(nn.MaxPool2d(2))
                continue
            norms = [nn.BatchNorm2d(int(width))] if norm else []
            layers += [nn.Conv2d(c, int(width), 3, padding=1), *norms, nn.ReLU()]
            c = int(width)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(512, classes)

    def forward(self, x):
        return self.classifier(mean(self.features(x)))


def small_vgg(column, norm):
    return lambda classes: SmallVgg(column, norm, classes)


class Fire(nn.Module):
    def __init__(self, i, squeeze, expand):
        super().__init__()
        step = lambda a, b, k: nn.Sequential(nn.Conv2d(a, b, k, padding=k // 2), nn.BatchNorm2d(b), nn.ReLU())
        self.squeeze = step(i, squeeze, 1)
        self.expand_1x1, self.expand_3x3 = step(squeeze, expand, 1), step(squeeze, expand, 3)

    def forward(self, x):
        x = self.squeeze(x)
        return torch.cat([self.expand_1x1(x), self.expand_3x3(x)], 1)


class SmallSqueezeNet(nn.Module):
    """Batch norm, and a bypass around those fires that keep the width, but the last; pools behind `pooled`."""

    def __init__(self, width, pooled, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))
        self.pooled, i = pooled, width
        for n, e in enumerate((64, 64, 128, 128, 192, 192, 256, 256), 2):
            setattr(self, f"fire{n}", Fire(i, e // 4, e))
            i = 2 * e
        self.conv10 = nn.Conv2d(512, classes, 1)

    def forward(self, x):
        x = self.stem(x)
        for n in range(2, 10):
            y = getattr(self, f"fire{n}")(x)
            x = x + y if n in (3, 5, 7) else y
            if n in self.pooled:
                x = F.max_pool2d(x, 2)
        return mean(self.conv10(x))


def squeezenet(width, pooled):
    return lambda classes: SmallSqueezeNet(width, pooled, classes)


# From weiaicunzai's names to dlcourse's.
own = ((r"^stem\.0", "conv1.conv"), (r"^stem\.1", "conv1.bn"), (r"expand_(.x.)\.", r"expand.expand\1."),
       (r"(squeeze|expand.x.)\.0", r"\1.conv"), (r"(squeeze|expand.x.)\.1", r"\1.bn"))
references = (
    {("lenet5", "cifar"): Reference("LeCun et al. 1998, dense C3", LeNet5, side=28, full=28, channels=1, classes=10),
     ("lenet", "cifar"): Reference("kuangliu LeNet", KuangliuLeNet, "kuangliu", **cifar | {"side": 32}),
     ("alexnet_grouped", "imagenet"): Reference("paper", alexnet(True, False), side=99, full=227),
     ("alexnet_grouped", "cifar"): Reference("paper, for CIFAR", alexnet(True, True), **cifar | {"side": 32}),
     ("alexnet", "cifar"): Reference("torchvision alexnet, for CIFAR", alexnet(False, True), **cifar | {"side": 32}),
     ("squeezenet1_0", "cifar"): Reference("weiaicunzai squeezenet", squeezenet(96, (4, 8)), "weiaicunzai",
                                           **cifar | {"classes": 100}),
     ("squeezenet1_1", "cifar"): Reference("weiaicunzai squeezenet, as 1.1", squeezenet(64, (3, 5)), renames=own,
                                           **cifar)}
    | {(name, "imagenet"): torchvision(name, side=side) for name, side in
       (("alexnet", 95), ("squeezenet1_0", 64), ("squeezenet1_1", 64))}
    | {(name + bn, "imagenet"): torchvision(name + bn) for name in COLUMNS for bn in ("", "_bn")}
    | {(name + bn, "cifar"): Reference(f"kuangliu VGG('{name.upper()}'){note}", small_vgg(name, bn), "kuangliu",
                                       **cifar | {"side": 32})
       for name in COLUMNS for bn, note in (("", " without norms"), ("_bn", ""))}
)
