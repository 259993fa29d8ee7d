"""Triangles with the moments of a Gaussian batch: Bartlett's factor of the Wishart law.

Write the standard normals of a batch as rows, g (n, 2d), and factor g = Q R. For n >= 2d the upper triangular R has
independent entries, R_ii² ~ χ² with n - i + 1 degrees of freedom (i = 1, 2, …) and R_ij ~ N(0, 1) above (Bartlett, Proc. R.
Soc. Edinburgh 53 (1933) 260), and gᵀg = RᵀR is Wishart. A and C, the moments of x and of x with x⁺, ask for the first d rows
of R alone, hence for n >= d. Sampled; the law is exact.
"""

from __future__ import annotations

import numpy as np

from dynamics.machine_code import kept_jit
from dynamics.run import Array


@kept_jit(nogil=True)
def triangles(upper: Array, diagonal: Array, columns: int) -> Array:
    """R (S, m, columns): upper triangles with the given diagonals (S, m) and, row by row, the entries above them."""
    S, m = diagonal.shape
    R = np.empty((S, m, columns), upper.dtype)
    for s in range(S):
        at = 0
        for i in range(m):
            R[s, i, :i] = 0
            R[s, i, i] = diagonal[s, i]
            for j in range(i + 1, columns):
                R[s, i, j] = upper[s, at + j - i - 1]
            at += columns - i - 1
    return R


@kept_jit(nogil=True)
def scaled_triangles(upper: Array, diagonal: Array, a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """Rows (S, m, d) of X = a R and Y = b R + c R', for R the left and R' the right half of `triangles`, m = d: `Law.columns`
    where its blocks are diagonal, in one pass over memory instead of six."""
    (S, m), d = diagonal.shape, len(a)
    X, Y = np.empty((S, m, d), upper.dtype), np.empty((S, m, d), upper.dtype)
    for s in range(S):
        at = 0
        for j in range(m):
            x, y, left, right = X[s, j], Y[s, j], upper[s, at : at + d - j - 1], upper[s, at + d - j - 1 :]
            for i in range(j):
                x[i], y[i] = 0, c[i] * right[i]
            x[j], y[j] = a[j] * diagonal[s, j], b[j] * diagonal[s, j] + c[j] * right[j]
            for i in range(j + 1, d):
                x[i], y[i] = a[i] * left[i - j - 1], b[i] * left[i - j - 1] + c[i] * right[i]
            at += 2 * d - j - 1
    return X, Y


def degrees(n: int, m: int) -> Array:
    """Degrees of freedom (m,) of the squared diagonal of R: n, n - 1, …"""
    return n - np.arange(m, dtype=float)
