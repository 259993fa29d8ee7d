"""Random views of image batches, made on the images' device, every draw from an explicit generator.

An Augmentation takes float images (N, c, h, w) in [0, 1] and a generator and returns one view of each, same shape.
Keep the generator on the device of the images: draws then never leave it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from full_models.data.imageset import ImageShape
from full_models.views.colour import Blur, Grey, Jitter, Lose, Noise
from full_models.views.geometry import Crop, Flip, Shift

__all__ = ["AUGMENTATIONS", "Augmentation", "augmentation"]

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Chain:
    """The parts, one after the other."""

    parts: tuple[Augmentation, ...]

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        for part in self.parts:
            x = part(x, generator)
        return x


@dataclass(frozen=True)
class AugmentationSpec:
    """parts(shape, strength); the strength where none is asked for, of a shape; bounds of the strength; what it is."""

    parts: Callable[[ImageShape, float], tuple[Augmentation, ...]]
    strength: Callable[[ImageShape], float]
    bounds: tuple[float, float]
    says: str


def _least_area(shape: ImageShape) -> float:
    return 0.2 if min(shape[1:]) >= 28 else 0.5  # 8x8: a fifth of the area would be 3.6 pixels a side


def _crop_flip(shape: ImageShape) -> tuple[Augmentation, ...]:
    """Crop, then a flip of colour images only: grey ones are mostly symbols, which a mirror makes into others."""
    return (Crop(_least_area(shape)), *([Flip()] if shape[0] == 3 else []))


def _colour(shape: ImageShape, strength: float) -> tuple[Augmentation, ...]:
    return (*_crop_flip(shape), Jitter(strength), *([Grey()] if shape[0] == 3 else []))


# fmt: off
AUGMENTATIONS: dict[str, AugmentationSpec] = {
    "none": AugmentationSpec(
        lambda shape, s: (), lambda shape: 0.0, (0.0, 0.0), "the image itself"),
    "noise": AugmentationSpec(
        lambda shape, s: (Noise(s),), lambda shape: 0.1, (0.0, 1e6), "Gaussian noise; strength: its deviation"),
    "mask": AugmentationSpec(
        lambda shape, s: (Lose(s),), lambda shape: 0.25, (0.0, 1.0), "lost pixels; strength: their share"),
    "shift": AugmentationSpec(
        lambda shape, s: (Shift(round(s)),), lambda shape: max(1, min(shape[1:]) // 8), (0.0, 1e6),
        "translation by whole pixels; strength: the most of them"),
    "flip": AugmentationSpec(
        lambda shape, s: (Flip(s),), lambda shape: 0.5, (0.0, 1.0), "left and right exchanged; strength: how probably"),
    "crop": AugmentationSpec(
        lambda shape, s: (Crop(s),), _least_area, (0.0, 1.0), "resized crop; strength: its least share of the area"),
    "crop-flip": AugmentationSpec(
        lambda shape, s: (Crop(s), Flip()), _least_area, (0.0, 1.0), "resized crop, then flip; strength: of the crop"),
    "crop-flip-colour": AugmentationSpec(
        _colour, lambda shape: 0.5, (0.0, 1.0),
        "crop, flip (colour images only), jitter, grey: SimCLR's for CIFAR-10; strength: of the jitter"),
    "simclr": AugmentationSpec(
        lambda shape, s: (*_colour(shape, s), Blur(min(shape[1:]) // 20)), lambda shape: 0.5, (0.0, 1.0),
        "the same, then blur: SimCLR's for larger images; strength: of the jitter"),
}
# fmt: on


def augmentation(name: str, shape: ImageShape, strength: float | None = None) -> Augmentation:
    """The named Augmentation for images of shape (c, h, w); strength None is its own for that shape.

    Raises ValueError, in one sentence, for an unknown name, a strength out of bounds, or images that are not 1 or 3
    channels where colours are changed.
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentation {name!r} is not one of {', '.join(AUGMENTATIONS)}")
    spec = AUGMENTATIONS[name]
    strength = spec.strength(shape) if strength is None else strength
    low, high = spec.bounds
    if not low <= strength <= high:
        raise ValueError(f"strength {strength} of {name}: give a number between {low:g} and {high:g}")
    if name == "shift" and strength != round(strength):
        raise ValueError(f"strength {strength} of shift: give a whole number of pixels")
    parts = spec.parts(shape, strength)
    if shape[0] not in (1, 3) and any(isinstance(part, Jitter) for part in parts):
        raise ValueError(f"{name} changes colours, but images have {shape[0]} channels: use crop, noise or shift")
    return Chain(parts)
