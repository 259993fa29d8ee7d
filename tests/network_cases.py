"""Small encoders' images, and the generator they are drawn from."""

from __future__ import annotations

import torch

SHAPE = (3, 8, 8)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, seed: int = 1, shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    return torch.rand(n, *shape, generator=seeded(seed))
