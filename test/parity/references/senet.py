"""SE-ResNeXt and SENet-154 as timm keeps Cadene's, and timm's own SE-ResNet-50."""

import timm

from references import Reference


def timms(name, layout, damped=None):
    make = lambda classes: timm.create_model(name, num_classes=classes)
    return Reference(f"timm {name}", make, layout, damped=damped)


references = {
    ("se_resnext50_32x4d", "imagenet"): timms("legacy_seresnext50_32x4d", "cadene"),
    ("se_resnext101_32x4d", "imagenet"): timms("legacy_seresnext101_32x4d", "cadene"),
    ("senet154", "imagenet"): timms("legacy_senet154", "cadene", damped="bn3.weight"),
    ("se_resnet50_v1_5", "imagenet"): timms("seresnet50", "timm"),
}
