"""All losses under test, views to try them on, and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contrastive_cases import CONTRASTIVE
from prediction_cases import PREDICTION
from statistics_cases import STATISTICS

CASES = [*CONTRASTIVE, *STATISTICS, *PREDICTION]
ALL = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
NAMES = {c.name: c for c in CASES}
N, D = 5, 3


def generic(N: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(N, d))
    return z, z + 0.7 * rng.normal(size=(N, d))


def gradients(loss: torch.Tensor, *at: torch.Tensor) -> list[torch.Tensor]:
    return [
        torch.zeros_like(x) if g is None else g
        for g, x in zip(torch.autograd.grad(loss, at, allow_unused=True), at, strict=True)
    ]
