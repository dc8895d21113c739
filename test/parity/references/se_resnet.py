"""SE-ResNet for ImageNet: the authors' Caffe networks as Cadene wrote them, which timm keeps under `legacy_`."""

import timm

from references import Reference


def legacy(name, **options):
    make = lambda classes: timm.create_model(f"legacy_{name}", num_classes=classes, **options)
    return Reference(f"timm legacy_{name}", make, "cadene")


references = {(f"se_resnet{d}", "imagenet"): legacy(f"seresnet{d}") for d in (50, 101, 152)}
