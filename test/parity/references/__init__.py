"""One file a family, each with a table `references` from (network, form) to a Reference."""

import importlib
import pathlib
import re
from dataclasses import dataclass

import torch
import torchvision.models as torchvision_models
from torch import nn


@dataclass(frozen=True)
class Reference:
    # What it is a network of: "torchvision alexnet", "kuangliu/pytorch-cifar ResNet18", …
    source: str
    # From a number of classes to a module; in training it returns a tuple when it has auxiliary outputs.
    make: object
    # Whose names the state_dict has; "own" for dlcourse's paths.
    layout: str = "own"
    # Side for training: the smallest at which the last map has 2×2 pixels. With one, a norm of four numbers would
    # amplify rounding a thousand times.
    side: int = 64
    # Side, channels and classes of the published figures.
    full: int = 224
    channels: int = 3
    classes: int = 1000
    # Weight of the loss at each auxiliary output.
    auxiliary: tuple = ()
    # Parameters that randomise() scales to a tenth: the ends of branches of very deep networks, in which rounding
    # would otherwise grow beyond 10⁻⁴ of the logits, in PyTorch too.
    damped: str = None
    # Of the random weights. Another one where a value happens to stand within rounding of a ReLU's kink.
    seed: int = 7
    # `make` takes the side of the pictures too.
    sized: bool = False
    # Substitutions that make dlcourse's paths of the module's names.
    renames: tuple = ()

    def key(self, name):
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def build(self, classes, side=None):
        """The module for pictures of `side` pixels, by default those of the training steps."""
        torch.manual_seed(1)
        model = self.make(classes, side or self.side) if self.sized else self.make(classes)
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
            if hasattr(module, "drop_prob"):
                module.drop_prob = 0.0
        return model

    def state(self, model):
        return {self.key(n): t for n, t in model.state_dict().items() if not n.endswith("num_batches_tracked")}


# Of the networks for CIFAR.
cifar = {"side": 16, "full": 32, "classes": 10}


def torchvision(name, side=64, full=224, auxiliary=(), title=None, **options):
    make = lambda classes: getattr(torchvision_models, name)(weights=None, num_classes=classes, **options)
    return Reference(f"torchvision {title or name}", make, "torchvision", side, full, auxiliary=auxiliary)


def all_references():
    table = {}
    for file in sorted(pathlib.Path(__file__).parent.glob("[a-z]*.py")):
        table |= getattr(importlib.import_module(f"references.{file.stem}"), "references", {})
    return table
