"""The multi-layer perceptron that projectors and predictors are."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from full_models import networks


def mlp(sizes: list[int], generator: torch.Generator, *, norm: bool = True, output_norm: bool = False) -> nn.Sequential:
    """Linear layers sizes[0] → … → sizes[-1], ReLU between them; batch norm before each ReLU (norm) and at the end.

    A layer followed by batch norm has no bias, which the norm would subtract. The last norm has neither gain nor offset
    (as SimSiam's code). Started from the generator by `full_models.networks.build`.
    """

    def make() -> nn.Sequential:
        layers: list[nn.Module] = []
        *hidden, last = pairwise(sizes)
        for inputs, outputs in hidden:
            layers.append(nn.Linear(inputs, outputs, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm1d(outputs))
            layers.append(nn.ReLU())
        layers.append(nn.Linear(*last, bias=not output_norm))
        if output_norm:
            layers.append(nn.BatchNorm1d(sizes[-1], affine=False))
        return nn.Sequential(*layers)

    return networks.build(make, generator)
