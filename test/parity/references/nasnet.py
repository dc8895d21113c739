"""NASNet-A: Large is timm's with an auxiliary classifier; Mobile and CIFAR are of TF-slim's rules, in Cadene's names."""

import timm
import torch
import torch.nn.functional as F
from timm.layers.pool2d_same import AvgPool2dSame
from torch import nn

from references import Reference


def same(x, kernel, stride, value=0.0):
    """TensorFlow's padding: ceil(n / stride) windows, the odd pixel below and right."""
    pads = []
    # Numbers, also where a tracer follows the shape: its division of negative ones rounds the other way.
    for n in (int(x.shape[3]), int(x.shape[2])):
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


class Same(nn.Conv2d):
    def forward(self, x):
        return super().forward(same(x, self.kernel_size[0], self.stride[0]))


class MaxPool(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return F.max_pool2d(same(x, 3, self.stride, -torch.inf), 3, self.stride)


class AvgPool(MaxPool):
    """The padding does not count."""

    def forward(self, x):
        sums, counts = (F.avg_pool2d(same(t, 3, self.stride), 3, self.stride) for t in (x, torch.ones_like(x[:1, :1])))
        return sums / counts


def sequence(**modules):
    made = nn.Sequential()
    for name, module in modules.items():
        made.add_module(name, module)
    return made


class Separable(nn.Module):
    def __init__(self, i, o, kernel, stride, eps):
        super().__init__()
        for n, (i, s) in enumerate([(i, stride), (o, 1)], 1):
            depthwise = Same(i, i, kernel, s, groups=i, bias=False)
            setattr(self, f"separable_{n}",
                    sequence(depthwise_conv2d=depthwise, pointwise_conv2d=nn.Conv2d(i, o, 1, bias=False)))
            setattr(self, f"bn_sep_{n}", nn.BatchNorm2d(o, eps))

    def forward(self, x):
        x = self.bn_sep_1(self.separable_1(F.relu(x)))
        return self.bn_sep_2(self.separable_2(F.relu(x)))


def one_by_one(i, o, eps, stride=1, relu=True):
    conv, bn = nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o, eps)
    return sequence(relu=nn.ReLU(), conv=conv, bn=bn) if relu else sequence(conv=conv, bn=bn)


def pooled(pool, i, o, eps):
    return pool if i == o else sequence(pool=pool, **dict(one_by_one(i, o, eps, relu=False).named_children()))


# Operations and states; 0 is the input, 1 what came before, 2 and on the sums.
NORMAL = ["5 0 3 1", "5 1 3 1", "avg 0 - 1", "avg 1 avg 1", "3 0 - 0"], [1, 2, 3, 4, 5, 6]
REDUCTION = ["5 0 7 1", "max 0 7 1", "avg 0 5 1", "- 3 avg 2", "3 2 max 0"], [3, 4, 5, 6]


class Cell(nn.Module):
    """`halved`: what came before has twice the input's side; `before` is its width, None where nothing came before."""

    def __init__(self, kind, i, before, halved, width, eps):
        super().__init__()
        self.sums, self.out = kind
        stride = 2 if kind is REDUCTION else 1
        self.conv_1x1 = one_by_one(i, width, eps)
        widths = [width, i if before is None else width] + 5 * [width]
        if halved:
            self.path_1 = sequence(conv=nn.Conv2d(before, width // 2, 1, bias=False))
            self.path_2 = sequence(conv=nn.Conv2d(before, width // 2, 1, bias=False))
            self.final_path_bn = nn.BatchNorm2d(width, eps)
        elif before is not None:
            self.conv_prev_1x1 = one_by_one(before, width, eps)
        for n, row in enumerate(self.sums):
            words = row.split()
            for side, op, state in (("left", *words[:2]), ("right", *words[2:])):
                w, s = widths[int(state)], stride if int(state) < 2 else 1
                made = {"avg": lambda: pooled(AvgPool(s), w, width, eps), "max": lambda: pooled(MaxPool(s), w, width, eps),
                        "-": lambda: nn.Identity() if (w, s) == (width, 1) else one_by_one(w, width, eps, s)}
                make = made.get(op, lambda: Separable(w, width, int(op), s, eps))
                self.add_module(f"comb_iter_{n}_{side}", make())
        if 1 in self.out and widths[1] != width:
            self.reduction_1 = one_by_one(widths[1], width, eps, relu=False)

    def before(self, x, previous):
        if previous is None:
            return x
        if not hasattr(self, "path_1"):
            return self.conv_prev_1x1(previous)
        a = F.relu(previous)
        shifted = F.pad(a, (0, 1, 0, 1))[:, :, 1:, 1:]
        paths = [self.path_1(a[:, :, ::2, ::2]), self.path_2(shifted[:, :, ::2, ::2])]
        return self.final_path_bn(torch.cat(paths, 1))

    def forward(self, x, previous):
        states = [self.conv_1x1(x), self.before(x, previous)]
        for n, row in enumerate(self.sums):
            left, right = (states[int(s)] for s in row.split()[1::2])
            states.append(getattr(self, f"comb_iter_{n}_left")(left) + getattr(self, f"comb_iter_{n}_right")(right))
        if hasattr(self, "reduction_1"):
            states[1] = self.reduction_1(states[1])
        return torch.cat([states[s] for s in self.out], 1)


def auxiliary(i, pixels, classes, eps):
    return nn.Sequential(
        nn.ReLU(), nn.AvgPool2d(5, 3),
        sequence(conv=nn.Conv2d(i, 128, 1, bias=False), bn=nn.BatchNorm2d(128, eps)), nn.ReLU(),
        sequence(conv=nn.Conv2d(128, 768, pixels, bias=False), bn=nn.BatchNorm2d(768, eps)), nn.ReLU(),
        nn.Flatten(), nn.Linear(768, classes))


# The auxiliary classifier has no usual names.
AUXILIARY = ((r"^auxiliary\.2\.", "auxiliary.conv1."), (r"^auxiliary\.4\.", "auxiliary.conv2."),
             (r"^auxiliary\.7\.", "auxiliary.fc."))


class NASNet(nn.Module):
    """Cells are numbered as if each stage had six; a reduction's own predecessor is not handed on (skip 0)."""

    def __init__(self, classes, width, stem, cells, large, eps, side):
        super().__init__()
        # Of the grid from which the auxiliary classifier hangs; its window is as large as that is after the pool.
        grid = side // 16 if large else side // 2
        pixels = (grid - 5) // 3 + 1
        self.conv0 = sequence(conv=nn.Conv2d(3, stem, 3, 2 if large else 1, 0 if large else 1, bias=False),
                              bn=nn.BatchNorm2d(stem, eps))
        self.names, halved = [], False
        before, now = None, stem
        for n in range(2 if large else 0):
            w = width // 2 ** (2 - n)
            self.add_module(f"cell_stem_{n}", Cell(REDUCTION, now, before, before is not None, w, eps))
            self.names.append(f"cell_stem_{n}")
            before, now, halved = now, 4 * w, True
        for stage in range(3):
            w = width * 2**stage
            if stage:
                self.add_module(f"reduction_cell_{stage - 1}", Cell(REDUCTION, now, before, False, w, eps))
                self.names.append(f"reduction_cell_{stage - 1}")
                before, now, halved = now, 4 * w, True
            for n in range(6 * stage, 6 * stage + cells):
                self.add_module(f"cell_{n}", Cell(NORMAL, now, before, halved, w, eps))
                self.names.append(f"cell_{n}")
                before, now, halved = now, 6 * w, False
            if stage == 1:
                self.last = self.names[-1]
                self.auxiliary = auxiliary(now, pixels, classes, eps)
        self.dropout = nn.Dropout()
        self.last_linear = nn.Linear(now, classes)

    def forward(self, x):
        previous, x = None, self.conv0(x)
        for name in self.names:
            previous, x = x, getattr(self, name)(x, previous)
            if name == self.last and self.training:
                side = self.auxiliary(x)
        y = self.last_linear(self.dropout(F.relu(x).mean((2, 3))))
        return (y, side) if self.training else y


class Large(nn.Module):
    """timm's network, from whose cell 11 the auxiliary classifier hangs. Its strided means count the padding."""

    def __init__(self, classes, counts):
        super().__init__()
        self.net = timm.create_model("nasnetalarge", num_classes=classes)
        for module in [] if counts else list(self.net.modules()):
            for name, child in module.named_children():
                if isinstance(child, AvgPool2dSame):
                    setattr(module, name, AvgPool(child.stride[0]))
        self.auxiliary = auxiliary(2016, 1, classes, 1e-3)
        self.net.cell_11.register_forward_hook(lambda _, inputs, x: setattr(self, "seen", x))

    def forward(self, x):
        y = self.net(x)
        return (y, self.auxiliary(self.seen)) if self.training else y


# From Cadene's names to dlcourse's, where no layout fits: Cadene's Large has a background class.
OWN = (
    (r"^cell_stem_(\d)", r"stem\1"), (r"^reduction_cell_(\d)", r"reduction\1"),
    *((rf"^cell_{6 * s + n}\.", f"stage{s}.{n}.") for s in range(3) for n in range(6)),
    (r"\.conv_1x1\.", ".input."), (r"\.conv_prev_1x1\.", ".previous."), (r"\.reduction_1\.", ".yield1."),
    (r"\.path_1\.conv", ".reduced.path1"), (r"\.path_2\.", ".reduced.path2."), (r"\.final_path_bn", ".reduced.bn"),
    (r"\.comb_iter_(\d)_", r".sum\1."), (r"\.separable_(\d)\.(\w+)_conv2d", r".separable\1.\2"),
    (r"\.bn_sep_", ".bn"), (r"^last_linear", "fc"), *AUXILIARY)

side = {"side": 96, "auxiliary": (0.4,)}

references = {
    ("nasnet_a_large", "imagenet"):
        Reference("timm nasnetalarge with TF-slim's means", lambda c: Large(c, False), full=331,
                  renames=((r"^net\.", ""), *OWN), **side),
    ("nasnet_a_large_timm", "imagenet"):
        Reference("timm nasnetalarge", lambda c: Large(c, True), "timm", full=331,
                  renames=((r"^net\.", ""), *AUXILIARY), **side),
    ("nasnet_a_mobile", "imagenet"):
        Reference("TF-slim mobile", lambda c, side: NASNet(c, 44, 32, 4, True, 1e-3, side), "cadene", sized=True,
                  renames=AUXILIARY, **side),
    ("nasnet_a_cifar", "cifar"):
        Reference("TF-slim cifar", lambda c, side: NASNet(c, 32, 96, 6, False, 1e-5, side), sized=True, renames=OWN,
                  side=32, full=32, classes=10, auxiliary=(0.4,)),
}
