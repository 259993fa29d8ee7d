"""The best linear predictor of a linear encoder: argmin over P of J = ½ E‖P W x - V x⁺‖²."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def optimum(A: Tensor, C: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """P* = V Cᵀ Wᵀ (W A Wᵀ)⁺ (…, k, k) of (W, V) (…, k, d), for A, C (d, d); of all minimisers the least in norm. Exact.

    From A = U s Uᵀ, without the s that are rounding, as V (Cᵀ U/√s) (W U √s)⁺: W A Wᵀ has the square of W's condition.
    """
    s, U = torch.linalg.eigh(A)
    kept = s > len(s) * torch.finfo(s.dtype).eps * s[-1]
    s, U = s[kept].sqrt(), U[:, kept]
    root, cross = U * s, C.mT @ (U / s)
    return lambda W, V: V @ cross @ torch.linalg.pinv(W @ root)
