"""Joint embedding: both views through one encoder and projector, and a loss of the two embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from full_models.methods.method import Method, MethodError, evaluating
from full_models.parallel import whole_batch

Criterion = Callable[..., Tensor]  # (z, z⁺, and what is drawn) -> loss
Draw = Callable[[Tensor, torch.Generator], dict[str, Tensor]]  # (a view, generator) -> the criterion's keywords


class Projected(Method):
    """A method whose loss sees z = projector(encoder(x))."""

    def __init__(self, encoder: nn.Module, projector: nn.Module, **keywords: Any) -> None:
        super().__init__(encoder, **keywords)
        self.projector = projector

    @property
    def branch(self) -> nn.Sequential:
        """Encoder and projector as one module x → z."""
        return nn.Sequential(self.encoder, self.projector)

    @torch.no_grad()
    def embed(self, x: Tensor) -> Tensor:
        with evaluating(self):
            return self.branch(x)


class JointEmbedding(Projected):
    """criterion(z, z⁺) of the two views' embeddings, each view its own batch to a batch norm; `draws`: what it draws."""

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, criterion: Criterion, draws: Draw | None = None
    ) -> None:
        super().__init__(encoder, projector)
        self.criterion = criterion
        self.draws = draws

    def draw(self, *views: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {} if self.draws is None else self.draws(views[0], generator)

    def loss(self, x: Tensor, x_plus: Tensor, **drawn: Tensor) -> Tensor:
        return whole_batch(self.criterion, self.branch(x), self.branch(x_plus), **drawn)


class LeadingPart(nn.Module):
    """The first d numbers of the features: DirectCLR's stand-in for a projector (Jing et al. 2022, section 6)."""

    def __init__(self, d: int, features: int) -> None:
        super().__init__()
        if not 1 <= d <= features:
            raise MethodError(f"dim = {d}: give a part of the {features} features, 1 <= dim <= {features}")
        self.d = d

    def forward(self, h: Tensor) -> Tensor:
        return h[..., : self.d]
