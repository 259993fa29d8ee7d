"""A narrow transformer that fills in tokens at wanted places from tokens seen: the JEPAs' predictor, MAE's decoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from full_models.methods.method import MethodError, check_depth
from full_models.networks.vit import Transformer, select

Positions = Callable[[int], Tensor]  # width -> (P, width), where each patch is


class TokenPredictor(nn.Module):
    """Tokens (N, K, dim) at places seen (N, K), and places wanted (N, Q) → (N, Q, outputs).

    Tokens seen are mapped to `width`, one learned mask token stands for each wanted one, positions are added to all, they
    attend to one another in `depth` layers, and the wanted ones are mapped to `outputs`. Nothing of a wanted patch but
    its position enters. The mask token starts N(0, 0.02²), as in the code of MAE and I-JEPA.
    """

    position: Tensor

    def __init__(self, dim: int, outputs: int, positions: Positions, width: int, depth: int, heads: int) -> None:
        super().__init__()
        check_depth("depth of the predictor", depth)
        if min(width, heads) < 1:
            raise MethodError(f"width = {width}, heads = {heads} of the predictor: give each >= 1")
        self.positions = positions
        self.enter = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.empty(width))
        self.transformer = Transformer(width, depth, heads)
        self.leave = nn.Linear(width, outputs)
        self.register_buffer("position", positions(width), persistent=False)

    def start(self, generator: torch.Generator) -> None:
        self.mask_token.normal_(0, 0.02, generator=generator)
        self.position.copy_(self.positions(self.position.shape[-1]))

    def forward(self, tokens: Tensor, seen: Tensor, wanted: Tensor) -> Tensor:
        position = self.position.expand(len(tokens), -1, -1)
        known = self.enter(tokens) + select(position, seen)
        asked = self.mask_token + select(position, wanted)
        filled = self.transformer(torch.cat([known, asked], 1))
        return self.leave(filled[:, seen.shape[1] :])
