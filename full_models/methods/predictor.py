"""Learned predictors of the target's embedding from the online one: none, linear, symmetric, MLP.

p_n = P z_n     z (N, d) online embeddings, P (d, d): no bias, as in the linear theory
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from full_models import networks
from full_models.methods.method import MethodError
from full_models.methods.mlp import mlp

PREDICTORS = ("none", "linear", "symmetric", "mlp")


class LinearPredictor(nn.Module):
    """p = P z, P = M learned; symmetric: P = (M + Mᵀ)/2, so that every P is symmetric.

    M starts U(±1/√d), a linear layer's law, symmetrised where P is symmetric. From a symmetric M a gradient step on M is
    one on P along the symmetrised gradient (G + Gᵀ)/2, Tian et al.'s "symmetric predictor".
    """

    def __init__(self, d: int, symmetric: bool = False) -> None:
        super().__init__()
        self.symmetric = symmetric
        self.M = nn.Parameter(torch.empty(d, d))

    def start(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(len(self.M))
        self.M.uniform_(-bound, bound, generator=generator)
        self.M.copy_(self.matrix())

    def matrix(self) -> Tensor:
        """P (d, d)."""
        return (self.M + self.M.T) / 2 if self.symmetric else self.M

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.matrix().T


def predictor(kind: str, d: int, generator: torch.Generator, hidden: int = 128) -> nn.Module:
    """The predictor of that kind for embeddings of d numbers; "mlp" is d → hidden, batch norm, ReLU → d.

    In the papers hidden is 16 d for BYOL and d/4, a bottleneck, for SimSiam. Raises MethodError on other kinds, sizes.
    """
    if kind not in PREDICTORS:
        raise MethodError(f"predictor {kind!r} is not one of {', '.join(PREDICTORS)}")
    if kind == "none":
        return nn.Identity()
    if kind == "mlp":
        if hidden < 1:
            raise MethodError(f"predictor_hidden = {hidden}: give a whole number >= 1")
        return mlp([d, hidden, d], generator)
    return networks.build(lambda: LinearPredictor(d, symmetric=kind == "symmetric"), generator)
