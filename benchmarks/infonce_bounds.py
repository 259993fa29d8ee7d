"""The least that InfoNCE takes on this thread: its products and exponentials at rates measured beside the runs held against it.

bound_s: the products at the best rate that numpy and torch show at any shape, 1024³ or those of blocks of rows.
blas_s: the same with the products at the rates of the blocks' own shapes, which no library runs at the large rate where d is
small. It is no bound, and never below bound_s: the project multiplies by tiles of its own, which may be faster there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks import harness

import numpy as np  # isort: skip  after the harness, which sets the thread counts
import torch

from dynamics.exponential import exponentials
from full_models.losses import blocked

EXPONENTIALS: dict[str, Callable[[Any, Any], Any]] = {
    "numpy": lambda x, y: np.exp(x, out=y),
    "torch": lambda x, y: torch.exp(torch.from_numpy(x), out=torch.from_numpy(y)),
    "own": exponentials,
}


def rates(dtype: str, repeats: int = 9) -> dict[str, float]:
    """Products (best of numpy and torch at 1024³, GFLOP/s) and exponentials in cache (G/s), at their fastest repeat."""
    a = np.random.default_rng(0).standard_normal((1024, 1024)).astype(dtype)
    out = {f"products {dtype}, GFLOP/s": 2e-9 * 1024**3 / _fastest(_product(a, a, np.empty_like(a)), repeats)}
    x, y = -np.abs(a.ravel()[: 2**14]), np.empty(2**14, dtype)  # 128 KB of float64 each: in the second cache
    for name, exp in EXPONENTIALS.items():
        many = lambda exp=exp: [exp(x, y) for _ in range(50)]  # noqa: E731
        out[f"exponentials {dtype} by {name}, G/s"] = 50e-9 * len(x) / harness.measure(many, repeats).minimum
    return out


def at_shape(N: int, d: int, dtype: str, repeats: int) -> tuple[float, float]:
    """Of the products of blocks of rows, u kᵀ, s k and sᵀ u, at their own shapes: seconds for all blocks, and the best GFLOP/s."""
    rows, rng = min(N, blocked.BLOCK // np.dtype(dtype).itemsize), np.random.default_rng(0)
    u, k, s = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, d), (N, d), (rows, N)))
    forms = (  # both layouts of a result: which of them a library runs faster is its own affair
        [*_product(u, k.T, s)],
        [*_product(s, k, np.empty_like(u)), *_product(k.T, s.T, np.empty((d, rows), dtype))],
        [*_product(s.T, u, np.empty_like(k)), *_product(u.T, s, np.empty((d, N), dtype))],
    )
    seconds = [_fastest(same, repeats) for same in forms]
    return N / rows * sum(seconds), 2e-9 * rows * N * d / min(seconds)


def _product(a: Any, b: Any, out: Any) -> list[Callable[[], Any]]:
    """a b by numpy and by torch."""
    x, y, z = (torch.from_numpy(m) for m in (a, b, out))
    return [partial(np.matmul, a, b, out=out), partial(torch.mm, x, y, out=z)]


def _fastest(forms: list[Callable[[], Any]], repeats: int) -> float:
    return min(harness.measure(form, repeats).minimum for form in forms)


def bounds(N: int, d: int, dtype: str, operations: int, of: Mapping[str, float]) -> tuple[float, float]:
    """(bound_s, blas_s) of `operations` N² d and N² exponentials, `of` being this dtype's `rates`; shapes are measured now."""
    blocks, best = at_shape(N, d, dtype, harness.FASTEST_OF)
    products = 1e-9 * operations * N**2 * d / max(best, of[f"products {dtype}, GFLOP/s"])
    exps = 1e-9 * N**2 / max(of[f"exponentials {dtype} by {by}, G/s"] for by in EXPONENTIALS)
    return products + exps, operations / 6 * blocks + exps
