"""The lengths of rows, and gradients through dividing by them, in one pass each: compiled, for one CPU thread.

`full_models.losses.blocked` has the same by torch, for every device; where rows are short, torch's sums along them take longer
than all else that is not a product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from dynamics.vector_width import widest
from full_models.losses.chunk import COMPILED

SUMS: dict[str, Any] = COMPILED | {"fastmath": {"contract", "reassoc"}}  # a row is summed by vectors


@kept_jit(**SUMS)
def inverse_lengths(z: NDArray[Any], floor: Any, low: Any, high: Any, out: NDArray[Any]) -> None:
    """out (N,) = 1 / max(‖z_i‖, floor). Only where the sum of squares lies between low and high is it taken as it is; else the
    row's largest number is divided out first. NaN where a row holds one."""
    widest()
    N, d = z.shape
    zero, one = z.dtype.type(0), z.dtype.type(1)
    for i in range(N):
        total, scale = zero, one
        for l in range(d):
            total += z[i, l] * z[i, l]
        if not low < total < high:
            scale = max(floor, np.abs(z[i]).max())
            total = zero
            for l in range(d):
                total += (z[i, l] / scale) ** 2
        length = scale * np.sqrt(total)
        out[i] = one / (floor if length < floor else length)


@kept_jit(**SUMS)
def through_the_norm(g: NDArray[Any], z: NDArray[Any], b: NDArray[Any], longest: Any) -> None:
    """g (N, d) <- g - u (u·g), u = b z, in place, but where b is `longest` = 1 / floor."""
    widest()
    for i in range(len(z)):
        if not b[i] >= longest:
            along = z.dtype.type(0)
            for l in range(z.shape[1]):
                along += g[i, l] * (b[i] * z[i, l])
            for l in range(z.shape[1]):
                g[i, l] -= b[i] * z[i, l] * along
