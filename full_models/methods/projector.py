"""The projector: from the features a probe reads to the embedding a loss sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from full_models import networks
from full_models.methods.method import MethodError, check_depth
from full_models.methods.mlp import mlp

PROJECTORS = ("none", "linear", "mlp")


@dataclass(frozen=True)
class Head:
    """A projector in words: its kind, output dim d, and for an mlp its hidden width, number of layers and batch norms.

    "none": the loss sees the features. "linear": d × D matrix without bias, the projector of the linear theory.
    "mlp": `layers` linear layers, batch norm (norm) and ReLU between; output_norm adds a batch norm without gain.
    """

    projector: str = "mlp"
    dim: int = 64
    hidden: int = 256
    layers: int = 2
    norm: bool = True
    output_norm: bool = False

    def size(self, features: int) -> int:
        """d, given the number of features D."""
        return features if self.projector == "none" else self.dim

    def build(self, features: int, generator: torch.Generator) -> nn.Module:
        """The projector from D = features numbers. Raises MethodError on an unknown kind or a size that is none."""
        if self.projector not in PROJECTORS:
            raise MethodError(f"projector {self.projector!r} is not one of {', '.join(PROJECTORS)}")
        check_depth("layers", self.layers)
        if min(self.dim, self.hidden) < 1:
            raise MethodError(f"dim = {self.dim}, hidden = {self.hidden}: give each >= 1")
        if self.projector == "none":
            return nn.Identity()
        if self.projector == "linear":
            return networks.build(lambda: nn.Linear(features, self.dim, bias=False), generator)
        sizes = [features, *[self.hidden] * (self.layers - 1), self.dim]
        return mlp(sizes, generator, norm=self.norm, output_norm=self.output_norm)
