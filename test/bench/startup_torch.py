# What `dlcourse predict` does, with torch and Pillow: startup.ts measures it beside ours.
# usage: startup_torch.py WEIGHTS PICTURE, of Google's MobileNet v1 of width 0.25 as converted from TensorFlow.

import sys

import torch
from torch import nn
from torch.nn.functional import pad

WIDTHS = [16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


def conv(inputs, outputs, kernel, stride=1, groups=1):
    same = kernel // 2 if stride == 1 else 0
    return nn.Conv2d(inputs, outputs, kernel, stride, same, groups=groups, bias=False)


def padded(x, layer):
    """TensorFlow pads bottom and right where the stride is 2."""
    return layer(pad(x, (0, 1, 0, 1)) if layer.stride == (2, 2) else x)


class Separable(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, inputs, 3, stride, inputs), nn.BatchNorm2d(inputs, 1e-3)
        self.conv2, self.bn2 = conv(inputs, outputs, 1), nn.BatchNorm2d(outputs, 1e-3)

    def forward(self, x):
        x = self.bn1(padded(x, self.conv1)).clamp(0, 6)
        return self.bn2(self.conv2(x)).clamp(0, 6)


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 8, 3, 2), nn.BatchNorm2d(8, 1e-3)
        pairs = zip([8, *WIDTHS], WIDTHS, STRIDES)
        self.layers = nn.Sequential(*[Separable(i, o, stride) for i, o, stride in pairs])
        self.linear = nn.Linear(256, 1000)

    def forward(self, x):
        x = self.bn1(padded(x, self.conv1)).clamp(0, 6)
        return self.linear(self.layers(x).mean((2, 3)))


def load(weights):
    model = MobileNet().eval()
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model


def read(picture):
    import numpy
    from PIL import Image

    image = Image.open(picture).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
    left, top = [(side - 224) // 2 for side in image.size]
    pixels = numpy.asarray(image.crop((left, top, left + 224, top + 224)), dtype=numpy.float32)
    return torch.from_numpy(pixels.transpose(2, 0, 1) / 127.5 - 1)[None]


if __name__ == "__main__":
    with torch.inference_mode():
        scores = load(sys.argv[1])(read(sys.argv[2])).softmax(1)
    for share, index in zip(*scores[0].topk(5)):
        print(f"{index.item()} {100 * share.item():.1f} %")
