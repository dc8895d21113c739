"""What several references are made of."""

import torch.nn.functional as F
from torch import nn


def conv(i, o, kernel, stride=1, groups=1, bias=False):
    return nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=bias)


def projection(i, o, stride=1):
    return nn.Sequential(conv(i, o, 1, stride), nn.BatchNorm2d(o))


class Numbered(nn.Module):
    """A module of convolutions conv1, conv2, … with norms bn1, bn2, … behind them."""

    convolution, eps, act = staticmethod(conv), 1e-5, staticmethod(F.relu)

    def add(self, n, i, o, kernel, stride=1, groups=1):
        setattr(self, f"conv{n}", self.convolution(i, o, kernel, stride, groups))
        setattr(self, f"bn{n}", nn.BatchNorm2d(o, self.eps))

    def run(self, n, x, act=True):
        y = getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(x))
        return self.act(y) if act else y


def mean(x):
    return x.mean((2, 3))


def shuffle(x, groups):
    """Channel (g, j) goes to place (j, g)."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)
