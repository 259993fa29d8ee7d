"""Random numbers of a view: each from the generator given, on the generator's device, then where the images are."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(size: tuple[int, ...], low: float, high: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """U(low, high) of the given size, in like's type and on its device."""
    return low + (high - low) * torch.rand(size, generator=generator, device=generator.device).to(like)


def normal(size: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """N(0, 1) of the given size, in like's type and on its device."""
    return torch.randn(size, generator=generator, device=generator.device).to(like)


def whole(size: tuple[int, ...], low: int, high: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """int64 numbers uniform on low … high, both included, on like's device."""
    return torch.randint(low, high + 1, size, generator=generator, device=generator.device).to(like.device)


def coins(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """(N, 1, 1, 1) bool for the images x (N, c, h, w): true with probability p, one coin an image."""
    return uniform((len(x), 1, 1, 1), 0.0, 1.0, generator, x) < p
