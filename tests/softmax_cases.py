"""Rows for the blocks of a softmax loss, its formula in long double, and how far rounding may take them apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Parts = tuple[Any, Any, Any]
TYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def safe(dtype: Any) -> float:
    return float(np.log(np.finfo(dtype).max)) / 2


def formula(q: Any, k: Any, b: Any, c: Any, per_tau: float, offset: int) -> Parts:
    """J and the gradients of its mean, b and c held, in numpy's long double."""
    q, k, b, c = (x.astype(np.longdouble) for x in (q, k, b, c))
    N, i, w = len(q), np.arange(len(q)), b * per_tau
    s = (q * w[:, None]) @ (k * c[:, None]).T
    score = s[i, (i + offset) % N]
    if offset:
        s[i, i] = -np.inf
    e = np.exp(s - s.max(1, keepdims=True))
    pi = e / e.sum(1, keepdims=True)
    J = np.log(e.sum(1)) + s.max(1) - score
    pi[i, (i + offset) % N] -= 1
    return J, w[:, None] * (pi @ (k * c[:, None])) / N, c[:, None] * (pi.T @ (q * w[:, None])) / N


def rows(N: int, d: int, dtype: Any, spread: float) -> tuple[Any, Any, Any, Any, float]:
    """q, k, b, c, per_tau whose scores are at most `spread`, and near it somewhere."""
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, N, d))
    c = 1 / np.linalg.norm(k, axis=1)
    b = rng.uniform(0.5, 1, N) / np.linalg.norm(q, axis=1)
    return q.astype(dtype), k.astype(dtype), b.astype(dtype), c.astype(dtype), spread


def excess(blocks: Callable[..., Parts], N: int, d: int, dtype: Any, spread: float, offset: int) -> float:
    """Largest difference from the formula over what rounding allows; infinite for a NaN.

    A score is a sum of d products of roundings of their own, off by (d + 3) u spread; e^s and so π by that and by a
    sum's N u beside; a sum over N rows adds N u again: 8 (N + d) u max(1, spread) bounds all. Gradients in the unit of the
    largest possible, and ∂J/∂k of the column's sum of π, which may be N.
    """
    given = _, _, b, c, per_tau = rows(N, d, dtype, spread)
    bounded = spread <= safe(dtype)
    got, expected = blocks(*given, offset, bounded, safe(dtype), True), formula(*given, offset)
    law = 8 * (N + d) * np.finfo(dtype).eps * max(1.0, spread)
    unit = 1.0, float(b.max()) * per_tau / N, float((spread * c).max())
    worst = [float(np.abs(g - e).max()) / u / law for g, e, u in zip(got, expected, unit, strict=True)]
    return max(worst) if np.isfinite(worst).all() else np.inf
