"""Linear flows dW/dt = -W M by one eigendecomposition: all times at once, matrices built only when asked for. Exact.

M = V diag(lambda) Vᵀ is symmetric: S + eta I for the invariance loss, A - C + eta I without predictor (see
`dynamics.invariance`). In the coordinates Y = W V the flow is Y_j(t) = Y_j(0) e^{-lambda_j t}, column by column; norms and
losses are sums over columns, O(d) a time. Singular values fall apart by e^{-(lambda_j - lambda_i) t} and soon span more
orders than float64 has digits, where an SVD of W(t) gives its rounding (below 1e-16 of the largest) and the eigenvalues
of W Wᵀ theirs (below 1e-8); here they keep their digits, see `log_singular_values`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import svdvals

from dynamics.invariance import blurred
from dynamics.machine_code import kept_jit
from dynamics.matrix_input import real
from dynamics.run import Array

GRADED = 1e-6  # columns within this ratio leave an SVD's rounding, 1e-16 of the largest, at 1e-10 of the smallest


@dataclass(frozen=True)
class LinearFlow:
    """W(t) = Y diag(e^{-lambda t}) Vᵀ: Y = W0 V (k, d), rates lambda (d,) rising, basis V (d, d); t (T,) flow time."""

    Y: Array
    rates: Array
    basis: Array
    t: Array

    @staticmethod
    def of(W0: Array, M: Array, t: Array) -> LinearFlow:
        """From the start W0 (k, d) and symmetric M (d, d), which may be singular. Raises ValueError on bad input."""
        W0, M, t = real("W0", W0), real("M", M), real("t", t)
        if W0.ndim != 2 or not W0.size or M.shape != (W0.shape[1],) * 2 or t.ndim != 1:
            raise ValueError(
                f"W0 {W0.shape}, M {M.shape}, t {t.shape}: give (k, d), (d, d) and a row of times, k and d >= 1"
            )
        if not (np.isfinite(W0).all() and np.isfinite(M).all() and np.isfinite(t).all()):
            raise ValueError("W0, M and t must be finite: check the start and the moments")
        # beyond the rounding of a product it is another matrix
        if not np.array_equal(M, M.T) and np.abs(M - M.T).max() > 1e-13 * np.abs(M).max():
            raise ValueError("M must be symmetric: for a non-symmetric C use the flow rung")
        rates, basis = np.linalg.eigh(M)
        if blurred(M, rates, t):
            raise ValueError("at such late times the rounding of the slowest rates shows: give earlier times")
        return LinearFlow(W0 @ basis, rates, basis, t)

    def W(self, i: int) -> Array:
        """W(t_i) (k, d); one product. Raises OverflowError where it has grown beyond the range of numbers."""
        with np.errstate(over="ignore", invalid="ignore"):
            return _of_numbers((self.Y * np.exp(-self.t[i] * self.rates)) @ self.basis.T)

    def __iter__(self) -> Iterator[Array]:
        return (self.W(i) for i in range(len(self.t)))

    @cached_property
    def energies(self) -> Array:
        """‖Y_j(t)‖² = ‖Y_j(0)‖² e^{-2 lambda_j t} (T, d): what norms and losses are sums of. Raises OverflowError as `W`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return _of_numbers(np.sum(self.Y**2, 0) * np.exp(-2 * self.t[:, None] * self.rates))

    def norm(self) -> Array:
        """‖W(t)‖_F (T,)."""
        return np.sqrt(self.energies.sum(1))

    def loss(self, eta: float = 0.0) -> Array:
        """½ tr(W (M - eta I) Wᵀ) (T,): for M = S + eta I the loss ½ E‖Wx - Wx⁺‖², without the decay's part."""
        return self.energies @ (self.rates - eta) / 2

    def log_singular_values(self) -> Array:
        """log of the min(k, d) singular values of W(t) (T, min(k, d)), falling; -inf for an exact 0.

        Relative accuracy even where they span hundreds of orders: with columns ordered by falling decay factor and
        Y = Q R once, W(t) has the singular values of R D = D (D⁻¹ R D), D = diag(e^{-lambda t}): the rows of D⁻¹ R D scaled
        by D; those rows tend to diag(R), and one-sided Jacobi rotations, which are accurate for any such scaling
        (Demmel & Veselić, SIAM J. Matrix Anal. Appl. 13, 1992), act on them with the scale kept apart as its logarithm.
        Where D spans less than six orders an ordinary SVD is taken: as good, unless the start's own singular values span more,
        of which the small ones then have its rounding, 1e-16 of the largest.
        """
        k, d = self.Y.shape
        out = np.empty((len(self.t), min(k, d)))
        for i, t in enumerate(self.t):
            logs = -t * self.rates
            order = np.argsort(-logs, kind="stable")
            logs = logs[order]
            if logs[0] - logs[-1] < -np.log(GRADED):
                with np.errstate(divide="ignore"):
                    out[i] = np.log(svdvals(self.Y[:, order] * np.exp(logs - logs[0]))) + logs[0]
                continue
            R = np.linalg.qr(self.Y[:, order], mode="r")
            r = len(R)
            rows = R * np.exp(np.minimum(logs[None, :] - logs[:r, None], 0.0))  # upper triangular: the rest is 0 anyway
            out[i] = _graded_singular_values(rows, logs[:r].copy())
        return out

    def effective_rank(self) -> Array:
        """exp(-Σ q ln q), q = σ² / Σ σ² (T,): of the spectrum of W Wᵀ, by differences of logarithms."""
        log_s = 2 * self.log_singular_values()
        top = log_s.max(-1, keepdims=True)
        safe = np.where(np.isfinite(top), log_s - np.where(np.isfinite(top), top, 0.0), -np.inf)
        weights = np.exp(safe)
        total = weights.sum(-1, keepdims=True)
        q = weights / np.where(total > 0, total, 1.0)
        entropy = -np.sum(np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0), -1)
        return np.where(total[:, 0] > 0, np.exp(entropy), 0.0)


def _of_numbers(X: Array) -> Array:
    if not np.isfinite(X).all():
        raise OverflowError(
            "W has grown beyond the range of numbers: give earlier times, or ask for log_singular_values"
        )
    return X


@kept_jit(nogil=True, error_model="numpy")
def _graded_singular_values(rows, logs):
    """Log singular values, falling, of diag(e^logs) rows by one-sided Jacobi; logs (r,) fall, rows (r, d) overwritten.

    For rows x, z of scales 1 >= g = e^{logs_j - logs_i} the rotation that makes x and g z orthogonal has
    tan = 2 g (x·z) sign(n) / (|n| + √(n² + 4 g² (x·z)²)), n = g² z·z - x·x; the new z needs tan / g, finite for any g.
    """
    r, d = rows.shape
    for _ in range(60):
        largest = 0.0
        for i in range(r - 1):
            for j in range(i + 1, r):
                x, z = rows[i], rows[j]
                xx, zz, xz = 0.0, 0.0, 0.0
                for m in range(d):
                    xx += x[m] * x[m]
                    zz += z[m] * z[m]
                    xz += x[m] * z[m]
                if xz == 0.0 or xx == 0.0 or zz == 0.0:
                    continue
                largest = max(largest, abs(xz) / np.sqrt(xx * zz))
                if abs(xz) <= 1e-15 * np.sqrt(xx * zz):
                    continue
                g = np.exp(logs[j] - logs[i])
                n = g * g * zz - xx
                slope = 2 * xz / (abs(n) + np.sqrt(n * n + 4 * g * g * xz * xz))  # tan / g, up to the sign of n
                if n < 0:
                    slope = -slope
                cos = 1 / np.sqrt(1 + (slope * g) ** 2)
                for m in range(d):
                    old = x[m]
                    x[m] = cos * (old - slope * g * g * z[m])
                    z[m] = cos * (slope * old + z[m])
        if largest <= 1e-14:
            break
    out = np.empty(r)
    for i in range(r):
        total = 0.0
        for m in range(d):
            total += rows[i, m] ** 2
        out[i] = logs[i] + np.log(total) / 2
    return np.sort(out)[::-1]
