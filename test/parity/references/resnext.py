"""ResNeXt-101 32×4d, which torchvision does not have: timm's under Cadene's names, and the form for CIFAR."""

import timm

from references import Reference, cifar
from references.resnet import DEPTHS, as_torchvision, wider

# Places in a network that was converted from Torch.
POSITIONS = (
    (r"^conv1\.", "features.0."), (r"^bn1\.", "features.1."), (r"^fc\.", "last_linear."),
    *((rf"^layer{stage}\.(\d+)\.", rf"features.{stage + 3}.\1.0.") for stage in range(1, 5)),
    (r"\.conv1\.", ".0.0.0."), (r"\.bn1\.", ".0.0.1."), (r"\.conv2\.", ".0.0.3."), (r"\.bn2\.", ".0.0.4."),
    (r"\.conv3\.", ".0.1."), (r"\.bn3\.", ".0.2."), (r"\.downsample\.", ".1."))

name = "resnext101_32x4d"

references = {
    (name, "imagenet"): Reference(f"timm {name}", lambda classes: timm.create_model(name, num_classes=classes), "cadene",
                                  renames=POSITIONS),
    (name, "cifar"): Reference(f"torchvision {name} with a 3×3 stem", wider(32, 4, DEPTHS[101][1]), "torchvision",
                               renames=as_torchvision, **cifar),
}
