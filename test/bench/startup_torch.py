# What `dlcourse predict PICTURE --weights WEIGHTS` does, with torch and Pillow: startup.ts measures it beside ours.
# usage: startup_torch.py MODEL CARD PICTURE, of a TorchScript file and JSON with its classes and preprocessing.

import json
import sys

import numpy
import torch
from PIL import Image

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "linear": Image.Resampling.BILINEAR,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}


def read(picture, how):
    image = Image.open(picture).convert("RGB" if how["channels"] == 3 else "L")
    width, height = how["width"], how["height"]
    size = (width, height)
    if how["fit"] == "crop":
        scale = max(width / image.width, height / image.height) / how["cropFraction"]
        size = [round(side * scale) for side in image.size]
    image = image.resize(size, RESAMPLING[how["interpolation"]])
    left, top = (image.width - width) // 2, (image.height - height) // 2
    pixels = numpy.asarray(image.crop((left, top, left + width, top + height)), dtype=numpy.float32)
    pixels = (pixels.reshape(height, width, -1) / 255 - numpy.float32(how["mean"])) / numpy.float32(how["std"])
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]


def main(model, card, picture):
    with open(card) as file:
        card = json.load(file)
    # There is one picture: compiling for the next would take longer than it saves.
    with torch.inference_mode(), torch.jit.optimized_execution(False):
        scores = torch.jit.load(model)(read(picture, card["preprocessing"])).softmax(1)
    classes = card["classes"]
    for share, index in zip(*scores[0].topk(min(5, len(classes)))):
        print(f"{classes[index]}  {100 * share.item():.1f} %")


main(*sys.argv[1:])
