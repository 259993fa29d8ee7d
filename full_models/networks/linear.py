"""Encoders without convolutions: linear, deep linear, and an MLP."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from full_models.data.imageset import ImageShape


class Linear(nn.Module):
    """f(x) = W_L … W_1 x on flattened images, D = c·h·w → features, no biases; `depth` matrices, all hidden widths alike.

    Start: W_l ~ N(0, 1/fan_in), so that E‖f(x)‖² = features/fan_in_L · … · ‖x‖², for depth 1: features/D · ‖x‖².
    """

    def __init__(self, shape: ImageShape, width: int, depth: int = 1) -> None:
        super().__init__()
        sizes = [math.prod(shape), *[width] * depth]
        self.features = width
        self.layers = nn.ModuleList(nn.Linear(fan_in, fan_out, bias=False) for fan_in, fan_out in pairwise(sizes))

    def start(self, generator: torch.Generator) -> None:
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            layer.weight.normal_(0, 1 / math.sqrt(layer.in_features), generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, h, w) → (N, features)."""
        h = x.flatten(1)
        for layer in self.layers:
            h = layer(h)
        return h


class MLP(nn.Module):
    """D → width → ReLU → width → ReLU → width on flattened images, with biases and without any normalisation, so that
    nothing but the objective couples the samples of a batch. Start: torch's default law."""

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        self.features = width
        self.layers = nn.Sequential(
            nn.Linear(math.prod(shape), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, h, w) → (N, features)."""
        return self.layers(x.flatten(1))
