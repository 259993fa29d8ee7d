"""The lengths of rows, and gradients through dividing by them, in one pass each: compiled, for one CPU thread.

    b_i = 1 / max(‖z_i‖, floor)        ∂J/∂z_i = g_i - u_i (u_i·g_i),  u_i = b_i z_i,  g_i = b_i ∂J/∂u_i

`full_models.losses.strips` has the same by torch, for every device; torch is slow in sums along short rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from dynamics.vector_width import widest
from full_models.losses.chunk import COMPILED

SUMS: dict[str, Any] = COMPILED | {"fastmath": {"contract", "reassoc"}}  # a row is summed by vectors


@kept_jit(**SUMS)
def inverse_lengths(z: NDArray[Any], floor: Any, out: NDArray[Any]) -> None:
    """out (N,) = 1 / max(‖z_i‖, floor), z (N, d). Where the sum of squares overflows, the row's largest number is divided out first;
    what underflows lies below the floor, whose square is a normal number. NaN where a row holds one, or where ‖z_i‖ itself
    overflows: 1 / inf would make a zero row of it."""
    widest()
    N, d = z.shape
    zero, one = z.dtype.type(0), z.dtype.type(1)
    for i in range(N):
        total, scale = zero, one
        for l in range(d):
            total += z[i, l] * z[i, l]
        if not np.isfinite(total):
            scale = np.abs(z[i]).max()
            total = zero
            for l in range(d):
                total += (z[i, l] / scale) ** 2
        length = scale * np.sqrt(total)
        if length == np.inf:
            length = z.dtype.type(np.nan)
        out[i] = one / (floor if length < floor else length)


@kept_jit(**COMPILED)
def through_the_norm(g: NDArray[Any], z: NDArray[Any], b: NDArray[Any], longest: Any) -> None:
    """g (N, d) <- g - u (u·g), u = b z, in place, but where b is `longest` = 1 / floor.

    (b z) along, in this order, which SUMS might change: b along is 0 where z is long, since both are 1 / ‖z‖.
    """
    widest()
    for i in range(len(z)):
        if not b[i] >= longest:
            along = _along(g, z, i, b[i])
            for l in range(z.shape[1]):
                g[i, l] -= b[i] * z[i, l] * along


@njit(**SUMS)
def _along(g: Any, z: Any, i: int, b: Any) -> Any:
    """Σ_l g_il b z_il."""
    along = z.dtype.type(0)
    for l in range(z.shape[1]):
        along += g[i, l] * (b * z[i, l])
    return along
