"""Images to look at, and how far a statistic strays from its law.

A statistic is compared with its law's value in standard errors of that statistic, and must lie within 4: seeds are
fixed, so a test passes always or never, and a right law would fail at 1 seed in 16,000. `strayed` finds the distance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SE = 4  # standard errors, everywhere below


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.rand(n, *shape, generator=seeded(seed))


def strayed(sample: Tensor, expected: float) -> float:
    """|mean - expected| in standard errors of the mean of independent numbers."""
    return (abs(sample.double().mean() - expected) / (sample.double().std() / math.sqrt(sample.numel()))).item()


def share_strayed(hits: Tensor, p: float) -> float:
    """|share - p| in standard errors √(p(1 - p)/n)."""
    return abs(hits.double().mean().item() - p) / math.sqrt(p * (1 - p) / hits.numel())
