"""An aligned start of the predictor flow, taken apart: W0 = Q diag(w) Uᵀ, P0 = Q diag(p) Qᵀ, V0 = Q diag(v) Uᵀ.

With A and C diagonal in U the shape is kept for all time, and every mode is a flow of its own (`dynamics.modes`), k = d = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dynamics.matrix_field import NO_STOP_GRADIENT, PREDICTOR
from dynamics.matrix_moments import ROUNDING, Moments, off_diagonal, turns
from dynamics.matrix_problem import Facts, Problem, Stepping
from dynamics.run import Array
from dynamics.solver import ATOL

NEAR = 1e-6  # of ‖W0‖²: turns are of 1e-8 at most


@dataclass(frozen=True)
class Modes:
    """Q (k, r) and U (d, r) with orthonormal columns; a (k,), c (k, 1) or [c | b] (k, 2), w, v (k,) and p (k,) of the modes;
    modes beyond r = min(k, d) have w = v = 0: only P is there, in the columns `Q_all` (k, k)."""

    Q_all: Array
    U: Array
    w: Array
    p: Array
    v: Array | None
    a: Array
    c: Array

    def solve(self, rates: Array, t: Array, how: Stepping) -> tuple[dict[str, Array], Facts]:
        """({name: (T, k)} of w, p and, for an EMA target, v; facts, one a mode), every mode to its own tolerance."""
        k = len(self.p)
        state = {"W": self.w, "V": self.v, "P": self.p}
        state = {name: x for name, x in state.items() if x is not None}
        m = Moments(np.ones((k, 1, 1)), self.a[:, None], self.c, np.zeros((*self.c.shape, 0)))
        y0, kind = np.stack([*state.values()], 1), PREDICTOR if self.c.shape[1] == 1 else NO_STOP_GRADIENT
        y, facts = Problem(kind, 1, 1, m, np.repeat(rates, k, 0), y0, ema=self.v is not None).solve(t, how)
        return {name: y[:, :, i].T for i, name in enumerate(state)}, replace(facts, form="modes", products=0)

    def encoder(self, w: Array) -> Array:
        """Q diag(w) Uᵀ (T, k, d) of w (T, k)."""
        r = self.U.shape[1]
        return (self.Q_all[:, :r] * w[:, None, :r]) @ self.U.T

    def predictor(self, p: Array) -> Array:
        """Q diag(p) Qᵀ (T, k, k) of p (T, k)."""
        return (self.Q_all * p[:, None, :]) @ self.Q_all.T


def aligned(m: Moments, W0: Array, P0: Array, V0: Array | None, atol: float = ATOL) -> Modes | None:
    """The modes of an aligned start of one member, or None: U is found from the moments, Q from the columns of W0 U.

    What lies between the modes is dropped for all time, though it may grow to order one, and faster than both modes that it
    couples: so only what rounding makes (ROUNDING of the largest entry) and what the integrator may itself be wrong by in a
    step (atol, in units of max(1, largest entry)).
    """
    if len(W0) > 1 or m.C.size or not _near(m, W0[0]):
        return None
    k, d = W0.shape[1:]
    basis = _basis(m, W0[0], P0[0], atol)
    X = W0[0] @ basis
    top = _largest(X, 0)
    sizes = top * np.linalg.norm(X / top, axis=0)  # a square of what is huge would overflow
    order = np.argsort(-sizes, kind="stable")
    r, X = int((sizes > _nothing(X, atol)).sum()), X[:, order]
    if r > min(k, d):
        return None
    Q = X[:, :r] / sizes[order[:r]]
    if not _falls_apart(Q.T @ X, atol):
        return None
    Q = _completed(Q)
    rest = Q[:, r:].T @ P0[0] @ Q[:, r:]  # where W0 is 0 any basis will do that makes P0 diagonal
    Q[:, r:] = Q[:, r:] @ np.linalg.eigh((rest + rest.T) / 2)[1]
    basis = basis[:, order]
    w, p = Q.T @ X, Q.T @ P0[0] @ Q
    v = None if V0 is None else Q.T @ V0[0] @ basis
    if not all(_falls_apart(M, atol) for M in (w, p, v) if M is not None):
        return None
    pad = lambda x: np.concatenate([x, np.zeros(max(0, k - len(x)))])[:k]  # noqa: E731  modes beyond d have w = v = 0
    return Modes(
        Q, basis[:, : min(k, d)], pad(np.diagonal(w)), np.diagonal(p).copy(), None if v is None else pad(np.diagonal(v)),
        pad(m.a[0, order]), np.stack([pad(x[order]) for x in m.c[0].reshape(-1, d)], 1),
    )  # fmt: skip


def _near(m: Moments, W0: Array) -> bool:
    """Whether the columns of W0 U are orthogonal but for what `_basis` may mend: one product tells most starts apart."""
    X = W0 @ m.basis[0]
    X = X / _largest(X)
    S = X.T @ X
    return bool(np.abs(S).sum() <= (1 + NEAR) * np.trace(S))


def _basis(m: Moments, W0: Array, P0: Array, atol: float) -> Array:
    """The moments' basis (d, d) with pairs turned towards what makes W0ᵀW0 and W0ᵀP0W0 diagonal too.

    Rounding turns the vectors of two close eigenvalues into each other by 1e-16 over their gap, which A and C do not see
    but the start does. No turn couples what A, C or B keeps apart by more than may be dropped.
    """
    U, a, others = m.basis[0], m.a[0], m.c[0].reshape(-1, m.a.shape[1])
    X = W0 @ U
    X = X / _largest(X)
    S = X.T @ (P0 / _largest(P0)) @ X
    K = turns([*(np.diag(x / _largest(x)) for x in (a, *others)), X.T @ X, (S + S.T) / 2])
    for x in (a, *others):
        K = np.where(np.abs(K * (x[:, None] - x)) <= _nothing(x, atol), K, 0.0)
    return U - U @ K


def _largest(M: Array, axis: int | None = None) -> Array:
    """The largest |entry|, 1 where all are 0: to be divided by."""
    largest = np.abs(M).max(axis, initial=0.0)
    return np.where(largest > 0, largest, 1.0)


def _nothing(M: Array, atol: float) -> float:
    """Entries of M up to this may be dropped, see `aligned`."""
    largest = float(np.abs(M).max(initial=0.0))
    return min(ROUNDING * largest, atol * max(1.0, largest))


def _falls_apart(M: Array, atol: float) -> bool:
    """Whether all that M (n, m) couples may be dropped, see `aligned`."""
    return bool((np.abs(off_diagonal(M)) <= _nothing(M, atol)).all())


def _completed(Q: Array) -> Array:
    """Orthonormal columns (k, r) and k - r more."""
    k, r = Q.shape
    return Q if r == k else np.hstack([Q, np.linalg.qr(np.hstack([Q, np.eye(k)]))[0][:, r:k]])
