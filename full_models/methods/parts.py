"""What the maker of a method is given: an encoder, the projector in words, and the generator of first values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from full_models.methods.method import MethodError
from full_models.methods.projector import Head
from full_models.networks.vit import ViT


@dataclass(frozen=True)
class Parts:
    """encoder: (N, …) → (N, features), with an attribute features; head: the projector, by default none."""

    encoder: nn.Module
    generator: torch.Generator
    head: Head = Head("none")  # noqa: RUF009, it is frozen

    @property
    def features(self) -> int:
        """D, the number of features. Raises MethodError where the encoder does not say it."""
        features = getattr(self.encoder, "features", None)
        if not isinstance(features, int):
            raise MethodError(
                f"{type(self.encoder).__name__} has no attribute features: give an encoder that says its size"
            )
        return features

    @property
    def d(self) -> int:
        """The dimension of the embedding."""
        return self.head.size(self.features)

    def projector(self) -> nn.Module:
        """A fresh projector."""
        return self.head.build(self.features, self.generator)

    def vit(self) -> ViT:
        """The encoder, if it has patches to mask. Raises MethodError if not."""
        if not isinstance(self.encoder, ViT):
            raise MethodError(
                f"{type(self.encoder).__name__} has no patches to mask: use encoder 'vit-micro' or 'vit-tiny'"
            )
        return self.encoder
