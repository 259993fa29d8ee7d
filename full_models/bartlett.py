"""Triangles with the moments of a Gaussian batch: Bartlett's factor of the Wishart law.

Write the standard normals of a batch as rows, g (n, 2d), and factor g = Q R. For n >= 2d the upper triangular R has
independent entries, R_ii² ~ χ² with n - i + 1 degrees of freedom (i = 1, 2, …) and R_ij ~ N(0, 1) above (Bartlett, Proc. R.
Soc. Edinburgh 53 (1933) 260), and gᵀg = RᵀR is Wishart. A and C, the moments of x and of x with x⁺, ask for the first d rows
of R alone, hence for n >= d. Sampled; the law is exact.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dynamics.machine_code import kept_jit
from dynamics.run import Array
from full_models.panels import gathered, packed
from full_models.products import gemm
from full_models.tile import ROW_BYTES, ROWS, empty, tile


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
def moments_of_triangles(upper: Array, diagonal: Array, a: Array, b: Array, c: Array, n: int) -> tuple[Array, Array]:
    """A = X Xᵀ/n and C = X Yᵀ/n (S, d, d) for Xᵀ = R a and Yᵀ = R b + R' c, with R the left and R' the right half of `triangles`
    and diagonal a, b, c (d,): `Law.columns` and the products where the law's blocks are diagonal, step by step in the caches."""
    (S, m), d = diagonal.shape, len(a)
    A, C, X, Y = empty((S, d, d), upper), empty((S, d, d), upper), empty((m, d), upper), empty((m, d), upper)
    over_n, whole = upper.dtype.type(1 / n), d % (ROW_BYTES // upper.itemsize) == 0
    for s in range(S):
        _scaled(upper[s], diagonal[s], a, b, c, X, Y)
        if whole:
            _triangle_products(over_n, X, Y, A[s], C[s])
        else:
            gemm(over_n, X.T, X, 0, A[s])
            gemm(over_n, X.T, Y, 0, C[s])
    return A, C


@njit(nogil=True)
def _scaled(upper: Array, diagonal: Array, a: Array, b: Array, c: Array, X: Array, Y: Array) -> None:
    """The rows of Xᵀ and Yᵀ of one step."""
    d, at = len(a), 0
    for j in range(len(diagonal)):
        x, y, left, right = X[j], Y[j], upper[at : at + d - j - 1], upper[at + d - j - 1 :]
        for i in range(j):
            x[i], y[i] = 0, c[i] * right[i]
        x[j], y[j] = a[j] * diagonal[j], b[j] * diagonal[j] + c[j] * right[j]
        for i in range(j + 1, d):
            x[i], y[i] = a[i] * left[i - j - 1], b[i] * left[i - j - 1] + c[i] * right[i]
        at += 2 * d - j - 1


@njit(nogil=True)
def _triangle_products(alpha: float, X: Array, Y: Array, A: Array, C: Array) -> None:
    """A <- alpha XᵀX and C <- alpha XᵀY by tiles, whose sums end where the columns of the upper triangle X do: half of them."""
    d, width, zero = len(X), ROW_BYTES // X.itemsize, X.dtype.type(0)
    x, y, left = packed(X, width), packed(Y, width), empty((d, ROWS), X)
    for i in range(0, d, ROWS):
        last = i + ROWS
        gathered(X.T, i, left[:last])
        for j in range(0, d, width):
            tile(left, 0, 1, ROWS, x, j * d, width, last, alpha, zero, A, i * d + j, d)
            tile(left, 0, 1, ROWS, y, j * d, width, last, alpha, zero, C, i * d + j, d)


def degrees(n: int, m: int) -> Array:
    """Degrees of freedom (m,) of the squared diagonal of R: n, n - 1, …"""
    return n - np.arange(m, dtype=float)
