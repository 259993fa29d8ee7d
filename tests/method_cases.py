"""Small methods and batches that several test files ask questions of."""

from __future__ import annotations

import torch
from torch import Tensor

from full_models.methods import Method, build

SHAPE = (1, 8, 8)
ROUNDING = 1e-12  # float64 results of some hundred operations on numbers of order 1, times a condition number of 100


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny(name: str, **options: object) -> Method:
    """A float64 method on 8 x 8 images with a linear encoder, so that nothing is invariant but what the loss makes so."""
    options = {"dim": 6, "hidden": 12, **options}
    return build(name, SHAPE, encoder="linear", width=16, generator=generator(), **options).double()


def batches(count: int, n: int = 12, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    g = generator(seed)
    x = torch.rand(count, n, *SHAPE, generator=g, dtype=torch.float64)
    return list(zip(x, x + 0.1 * torch.randn(x.shape, generator=g, dtype=torch.float64), strict=True))
