"""Encoders as torch modules, (N, c, h, w) float → (N, features), started from an explicit generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from full_models.data.imageset import ImageShape
from full_models.networks.linear import MLP, Linear
from full_models.networks.resnet import ResNet
from full_models.networks.start import build
from full_models.networks.vit import ViT

__all__ = ["ENCODERS", "EncoderSpec", "build", "encoder"]


@dataclass(frozen=True)
class EncoderSpec:
    """make(shape, width) → module with `features`; the width where none is asked for; one line of what it is."""

    make: Callable[[ImageShape, int], nn.Module]
    width: int
    says: str


# fmt: off
ENCODERS: dict[str, EncoderSpec] = {
    "linear": EncoderSpec(Linear, 64, "one matrix on flattened pixels, no bias; width = features"),
    "deep-linear": EncoderSpec(lambda shape, width: Linear(shape, width, depth=3), 64, "three matrices, no bias; width = features"),
    "mlp": EncoderSpec(MLP, 256, "two hidden ReLU layers, no normalisation; width = features"),
    "resnet8": EncoderSpec(lambda shape, width: ResNet(shape[0], width, (1, 1, 1)), 16, "CIFAR stem, three blocks; features = 4 width"),
    "resnet18": EncoderSpec(lambda shape, width: ResNet(shape[0], width, (2, 2, 2, 2)), 64, "CIFAR stem, eight blocks; features = 8 width"),
    "vit-micro": EncoderSpec(lambda shape, width: ViT(shape, width, depth=4, heads=2), 64, "transformer small enough for a CPU; width = features"),
    "vit-tiny": EncoderSpec(lambda shape, width: ViT(shape, width, depth=12, heads=3), 192, "DeiT-Ti's transformer; width = features"),
}
# fmt: on


def encoder(name: str, shape: ImageShape, *, width: int | None = None, generator: torch.Generator) -> nn.Module:
    """A module with `features`, (N, c, h, w) float → (N, features), on the generator's device and started from it alone.

    shape: (c, h, w) of an image. width: see ENCODERS; None is the published one. Equal generators give equal modules.
    Raises ValueError, in one sentence, for an unknown name, a shape or a width that the network cannot have.
    """
    if name not in ENCODERS:
        raise ValueError(f"encoder {name!r} is not one of {', '.join(ENCODERS)}")
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"images have shape {tuple(shape)}: give (channels, height, width)")
    spec = ENCODERS[name]
    width = spec.width if width is None else width
    if width < 1:
        raise ValueError(f"a width of {width} is no width: give a whole number >= 1")
    return build(lambda: spec.make(shape, width), generator)
