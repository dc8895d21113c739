"""DenseNet: torchvision's, kuangliu's for CIFAR (new channels first), and DenseNet-BC-100 (new channels last)."""

import torch
import torch.nn.functional as F
from torch import nn

from references import Reference, cifar, torchvision
from references.blocks import conv, mean

LAYERS = {121: (32, [6, 12, 24, 16]), 161: (48, [6, 12, 36, 24]), 169: (32, [6, 12, 32, 32]),
          201: (32, [6, 12, 48, 32])}


class Layer(nn.Module):
    def __init__(self, i, growth, new_first):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(i), conv(i, 4 * growth, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), conv(4 * growth, growth, 3)
        self.new_first = new_first

    def forward(self, x):
        y = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        return torch.cat([y, x] if self.new_first else [x, y], 1)


class Transition(nn.Module):
    def __init__(self, i):
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(i), conv(i, i // 2, 1)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2)


class DenseNet(nn.Module):
    def __init__(self, growth, layers, new_first, classes):
        super().__init__()
        c = 2 * growth
        self.conv1, self.blocks = conv(3, c, 3), len(layers)
        for n, count in enumerate(layers, 1):
            setattr(self, f"dense{n}", nn.Sequential(*[Layer(c + j * growth, growth, new_first) for j in range(count)]))
            c += count * growth
            if n < len(layers):
                setattr(self, f"trans{n}", Transition(c))
                c //= 2
        self.bn, self.linear = nn.BatchNorm2d(c), nn.Linear(c, classes)

    def forward(self, x):
        x = self.conv1(x)
        for n in range(1, self.blocks + 1):
            x = getattr(self, f"dense{n}")(x)
            if n < self.blocks:
                x = getattr(self, f"trans{n}")(x)
        return self.linear(mean(F.relu(self.bn(x))))


def small(growth, layers, new_first=True):
    return lambda classes: DenseNet(growth, layers, new_first, classes)


own = ((r"^conv1", "stem"), (r"^dense", "block"), (r"\.bn(\d)", r".norm\1"), (r"^trans(\d)\.bn", r"transition\1.norm"),
       (r"^trans(\d)", r"transition\1"), (r"^bn", "norm"), (r"^linear", "fc"))
references = (
    {(f"densenet{d}", "imagenet"): torchvision(f"densenet{d}") for d in LAYERS}
    | {(f"densenet{d}", "cifar"): Reference(f"kuangliu DenseNet{d}", small(*how), "kuangliu", **cifar)
       for d, how in LAYERS.items()}
    | {("densenet_bc100", "cifar"): Reference("paper, k = 12", small(12, [16, 16, 16], False), renames=own, **cifar),
       ("densenet_cifar", "cifar"): Reference("kuangliu densenet_cifar", small(12, LAYERS[121][1]), "kuangliu", **cifar)}
)
