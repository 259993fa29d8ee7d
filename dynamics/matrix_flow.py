"""Matrix flows, fast: predictor with stop-gradient, and InfoNCE, for d = 8 to 512, one problem or thousands. Integrated.

The flows are those of `dynamics.predictor` (Lemma 1 of Tian et al. 2021) and of the InfoNCE loss of a linear encoder;
here they are arranged for speed and nothing else: rotated into the eigenbasis of A, where W A costs no product (and W Cᵀ
none where C commutes with A), stepped without temporaries by `dynamics.matrix_kernel`, and, where the start is aligned
with the moments, taken apart into scalar modes. Times are flow times (see `dynamics`), as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dynamics import matrix_kernel as kernel
from dynamics.run import Array
from dynamics.solver import ATOL, BLOW_UP, RTOL, SolverError

METHODS = {"auto": kernel.AUTO, "DOP853": kernel.EXPLICIT, "RKL2": kernel.STABILISED}
MAX_EVALUATIONS = 2_000_000  # hours at d = 512: whoever gets here has asked for more than the flow can give
SAME = 1e-12  # matrices that differ by less, relative to their size, are taken as equal: 1e-2 of the default rtol


class FlowError(ValueError):
    """Matrices, rates or times that do not fit together; the message says which and what to give instead."""


@dataclass(frozen=True)
class Facts:
    """How a flow was made, per member (B,): evaluations of the field, accepted steps, those of them by RKL2, the largest
    spectral radius of the Jacobian that was measured (0: never asked for), and the time of the first RKL2 step (inf: none).

    form: "matrix" or "modes" (aligned start: every mode a scalar system of its own; then B counts modes), and the
    products a field evaluation costs, each of 2 k d min(k, d)-like size.
    """

    form: str
    products: int
    evaluations: Array
    steps: Array
    stabilised_steps: Array
    spectral_radius: Array
    switched_at: Array

    @property
    def method(self) -> str:
        """ "DOP853", "RKL2", or "DOP853 then RKL2" where stability made some member change over."""
        some, every = bool((self.stabilised_steps > 0).any()), bool((self.stabilised_steps == self.steps).all())
        return "RKL2" if some and every else "DOP853 then RKL2" if some else "DOP853"


@dataclass(frozen=True)
class MatrixFlow:
    """W (B, T, k, d), P (B, T, k, k), V (B, T, k, d) at the times t (T,); without the B axis where the start had none.

    Kept as integrated, in the eigenbasis of A (`basis` (..., d, d)), and rotated back on demand: `coordinates` has Wᵀ
    (B, T, d, k), and Vᵀ and Pᵀ where the flow has them. V is W for an online target; P is None for InfoNCE.
    """

    t: Array
    coordinates: dict[str, Array]
    basis: Array
    frame: Array | None
    single: bool
    facts: Facts

    @cached_property
    def W(self) -> Array:
        return self._encoder("W")

    @cached_property
    def V(self) -> Array:
        return self._encoder("V") if "V" in self.coordinates else self.W

    @cached_property
    def P(self) -> Array | None:
        if "P" not in self.coordinates:
            return None
        P = self.coordinates["P"].mT
        return self._shaped(P if self.frame is None else self.frame @ P @ self.frame.mT)

    def _encoder(self, name: str) -> Array:
        X = self.basis[:, None] @ self.coordinates[name]
        return self._shaped(X.mT if self.frame is None else self.frame @ X.mT)

    def _shaped(self, X: Array) -> Array:
        return X[0] if self.single else X


def predictor_flow(
    W0: Array,
    P0: Array,
    A: Array,
    C: Array,
    t: Array,
    *,
    V0: Array | None = None,
    alpha_p: float | Array = 1.0,
    eta: float | Array = 0.0,
    eta_p: float | Array | None = None,
    beta: float | Array = 1.0,
    rtol: float = RTOL,
    atol: float = ATOL,
    method: str = "auto",
) -> MatrixFlow:
    """The flow of `predictor.field` from (W0, P0, V0) over t (T,), t[0] the start. Integrated to rtol.

        G = V Cᵀ - P W A    dW/dt = PᵀG - eta W    dP/dt = alpha_p G Wᵀ - eta_p P    dV/dt = beta (W - V)

    W0 (k, d), P0 (k, k), or (B, k, d), (B, k, k) for B members; V0 None is the online target V = W, otherwise an EMA
    target that starts there. A, C (d, d) or (B, d, d), A symmetric, C any; rates are numbers or (B,), per unit of t;
    eta_p None is eta. Each member steps with its own error control (root mean square over its own entries).
    method: "DOP853" (explicit, order 8), "RKL2" (stabilised explicit, order 2, for stiff spectra), or "auto": DOP853,
    with the spectral radius of the Jacobian measured on the way, and RKL2 while stability holds DOP853's step and RKL2 is
    the cheaper (`facts` says which). Raises FlowError (bad input) and SolverError (blow-up, no convergence).
    """
    single = np.ndim(W0) == 2
    W0, P0 = (np.array(X, float, ndmin=3) for X in (W0, P0))
    V0 = None if V0 is None else np.array(V0, float, ndmin=3)
    B, k, d = W0.shape
    _check_shapes({"W0": (W0, (B, k, d)), "P0": (P0, (B, k, k)), "V0": (V0, (B, k, d))})
    rates = _rates(B, alpha_p, eta, eta if eta_p is None else eta_p, beta)
    m = _Moments.of(A, C, B, d)
    if (modes := _aligned(m, W0, P0, V0)) is not None:
        return modes.flow(rates, t, rtol, atol, method, single)
    encoders = [W0] if V0 is None else [W0, V0]
    y0 = np.concatenate([_flat((X @ m.basis).mT) for X in encoders] + [_flat(P0.mT)], axis=1)
    y, facts = _integrate(kernel.PREDICTOR, k, d, V0 is not None, m, rates, y0, t, rtol, atol, method)
    return MatrixFlow(np.asarray(t, float), _unpack(y, k, d, V0 is not None, True), m.basis, None, single, facts)


def info_nce_flow(
    W0: Array,
    A: Array,
    C: Array,
    t: Array,
    *,
    tau: float = 1.0,
    rtol: float = RTOL,
    atol: float = ATOL,
    method: str = "auto",
) -> MatrixFlow:
    """Gradient flow of InfoNCE (dot-product critic) of z = W x with infinitely many negatives, Gaussian views. Integrated.

        L - log N -> -tr(W C Wᵀ)/tau + tr(W A Wᵀ W A Wᵀ)/(2 tau²)    dW/dt = (2/tau) W (C + Cᵀ)/2 - (2/tau²) W A Wᵀ W A

    since log E exp(z·z⁺/tau) = zᵀ(W A Wᵀ)z/(2 tau²) for candidates x⁺ ~ N(0, A): exchangeable views, E[x xᵀ] = E[x⁺ x⁺ᵀ].
    Arguments as for `predictor_flow`; tau > 0 is the temperature. It is half the spectral contrastive loss of W/√tau.
    """
    single = np.ndim(W0) == 2
    W0 = np.array(W0, float, ndmin=3)
    B, k, d = W0.shape
    _check_temperature(tau)
    C = np.asarray(C, float)
    m = _Moments.of(A, (C + C.mT) / 2, B, d)
    y0 = _flat((W0 @ m.basis).mT)
    y, facts = _integrate(kernel.INFO_NCE, k, d, False, m, _rates(B, tau), y0, t, rtol, atol, method)
    return MatrixFlow(np.asarray(t, float), _unpack(y, k, d, False, False), m.basis, None, single, facts)


def info_nce_sample_flow(
    W0: Array,
    X: Array,
    X_plus: Array,
    t: Array,
    *,
    tau: float = 1.0,
    rtol: float = RTOL,
    atol: float = ATOL,
    method: str = "auto",
) -> MatrixFlow:
    """Gradient flow of InfoNCE, -(1/N) Σ_i log softmax_i(z_i · z⁺_j / tau), on N fixed pairs X, X⁺ (N, d), z = W x. Integrated.

    Memory 8 N² bytes for the scores; N in the thousands at most. Arguments otherwise as for `info_nce_flow`.
    """
    single = np.ndim(W0) == 2
    W0, X, X_plus = np.array(W0, float, ndmin=3), np.ascontiguousarray(X, float), np.ascontiguousarray(X_plus, float)
    B, k, d = W0.shape
    _check_temperature(tau)
    if X.shape != X_plus.shape or X.ndim != 2 or X.shape[1] != d or not np.isfinite(X + X_plus).all():
        raise FlowError(f"X {X.shape} and X_plus {X_plus.shape} must both be finite (N, {d}), one row a pair")
    m = _Moments.of(np.eye(d), np.eye(d), B, d)
    y, facts = _integrate(
        kernel.INFO_NCE_SAMPLES, k, d, False, m, _rates(B, tau), _flat(W0.mT), t, rtol, atol, method, (X, X_plus)
    )
    return MatrixFlow(np.asarray(t, float), _unpack(y, k, d, False, False), m.basis, None, single, facts)


@dataclass(frozen=True)
class _Moments:
    """A = U diag(a) Uᵀ and C in that basis U: its diagonal c (1 or B, d), and all of it, C (…, d, d), unless it is diagonal."""

    basis: Array
    a: Array
    c: Array
    C: Array

    @staticmethod
    def of(A: Array, C: Array, B: int, d: int) -> _Moments:
        A, C = (np.array(M, float, ndmin=3) for M in (A, C))
        for name, M in (("A", A), ("C", C)):
            if M.shape not in ((1, d, d), (B, d, d)) or not np.isfinite(M).all():
                raise FlowError(f"{name} has shape {M.shape[1:]}: give a finite ({d}, {d}) matrix, or one a member")
        scale = np.linalg.norm(A, axis=(1, 2), keepdims=True)
        if (np.abs(A - A.mT) > SAME * scale).any():
            raise FlowError("A = E[x xᵀ] must be symmetric: pass (A + Aᵀ)/2")
        A, C = np.broadcast_arrays(A, C)
        shared = np.linalg.eigh((C + C.mT) / 2 + A / np.sqrt(2))[1]  # diagonalises both where they commute
        a, c = (shared.mT @ M @ shared for M in (A, C))
        if _diagonal(a) and _diagonal(c):
            return _Moments(shared, _diag(a), _diag(c), np.zeros((len(A), d, 0)))
        values, U = np.linalg.eigh(A)
        C = U.mT @ C @ U
        return _Moments(U, values, _diag(C), np.ascontiguousarray(C))


@dataclass(frozen=True)
class _Modes:
    """An aligned start, W0 = Q diag(w) Uᵀ, P0 = Q diag(p) Qᵀ, V0 = Q diag(v) Uᵀ with A, C diagonal in U: k scalar modes."""

    Q: Array
    basis: Array
    w: Array
    p: Array
    v: Array | None
    a: Array
    c: Array
    d: int

    def flow(self, rates: Array, t: Array, rtol: float, atol: float, method: str, single: bool) -> MatrixFlow:
        k, r = len(self.Q), min(len(self.Q), self.d)
        state = [self.w, self.p] if self.v is None else [self.w, self.v, self.p]
        m = _Moments(np.ones((k, 1, 1)), self.a[:, None], self.c[:, None], np.zeros((k, 1, 0)))
        y, facts = _integrate(
            kernel.PREDICTOR,
            1,
            1,
            self.v is not None,
            m,
            np.repeat(rates, k, 0),
            np.stack(state, 1),
            t,
            rtol,
            atol,
            method,
        )
        y = np.moveaxis(y, 0, 1)  # (T, k, 2 or 3)
        names = ("W", "P") if self.v is None else ("W", "V", "P")
        coordinates = {}
        for i, name in enumerate(names):
            full = np.zeros((1, len(y), k if name == "P" else self.d, k))
            n = k if name == "P" else r
            full[0, :, range(n), range(n)] = y[:, :n, i].T
            coordinates[name] = full
        facts = Facts("modes", 0, *(getattr(facts, f) for f in _COUNTS))
        return MatrixFlow(np.asarray(t, float), coordinates, self.basis, self.Q, single, facts)


_COUNTS = ("evaluations", "steps", "stabilised_steps", "spectral_radius", "switched_at")


def _aligned(m: _Moments, W0: Array, P0: Array, V0: Array | None) -> _Modes | None:
    """The modes of an aligned start of one member, or None: U is found from the moments, Q from the columns of W0 U."""
    if len(W0) > 1 or m.C.size:
        return None
    k, d = W0.shape[1:]
    X = W0[0] @ m.basis[0]
    sizes = np.linalg.norm(X, axis=0)
    order = np.argsort(-sizes, kind="stable")
    r = int((sizes > SAME * sizes.max()).sum()) if sizes.max() > 0 else 0
    X = X[:, order]
    if r > min(k, d) or not _diagonal(X.T @ X):
        return None
    Q = np.linalg.qr(np.hstack([X[:, :r] / sizes[order[:r]], np.eye(k)]))[0][:, :k]
    rest = Q[:, r:].T @ P0[0] @ Q[:, r:]  # where W0 is 0 any basis will do that makes P0 diagonal
    Q[:, r:] = Q[:, r:] @ np.linalg.eigh((rest + rest.T) / 2)[1]
    basis = m.basis[:, :, order]
    w, p = Q.T @ X, Q.T @ P0[0] @ Q
    v = None if V0 is None else Q.T @ V0[0] @ basis[0]
    if not all(_diagonal(M) for M in (w, p, v) if M is not None):
        return None
    pad = lambda x: np.concatenate([x, np.zeros(max(0, k - len(x)))])[:k]  # noqa: E731  modes beyond d have w = v = 0
    return _Modes(
        Q, basis, pad(np.diagonal(w)), np.diagonal(p).copy(), None if v is None else pad(np.diagonal(v)),
        pad(m.a[0, order]), pad(m.c[0, order]), d,
    )  # fmt: skip


def _integrate(
    kind: int, k: int, d: int, ema: bool, m: _Moments, rates: Array, y0: Array, t: Array, rtol: float, atol: float,
    method: str, samples: tuple[Array, Array] | None = None,
) -> tuple[Array, Facts]:  # fmt: skip
    """(y (B, T, n), facts) by the compiled kernel; every way it can fail becomes a sentence."""
    t = np.asarray(t, float)
    if method not in METHODS:
        raise FlowError(f"method {method!r} is not one of {', '.join(METHODS)}")
    if t.ndim != 1 or not len(t) or not np.isfinite(t).all() or (np.diff(t) <= 0).any():
        raise FlowError("t must be a rising row of finite times, t[0] the start")
    if not (0 < rtol < 1 and 0 <= atol < np.inf):
        raise FlowError(f"rtol = {rtol:g}, atol = {atol:g}: give 0 < rtol < 1 and atol >= 0")
    if not np.isfinite(y0).all():
        raise FlowError("the start has an entry that is not finite: check W0, P0 and V0")
    B, n = y0.shape
    X, X_plus = samples or (np.zeros((0, d)), np.zeros((0, d)))
    out, stats = np.empty((B, len(t), n)), np.empty((B, 7))
    a, c, C = (np.ascontiguousarray(np.broadcast_to(M, (B, *M.shape[1:]))) for M in (m.a, m.c, m.C))
    kernel.advance_all(
        kernel.TABLEAU, kind, k, d, ema, a, c, C, rates, X, X_plus, y0.copy(), t, out, max(rtol, 1e-14), atol,
        METHODS[method], BLOW_UP, MAX_EVALUATIONS, stats,
    )  # fmt: skip
    _raise_failures(stats, rtol)
    products = {kernel.PREDICTOR: 4, kernel.INFO_NCE: 3, kernel.INFO_NCE_SAMPLES: 7}[kind] - (m.C.size == 0)
    counted = (kernel.EVALUATIONS, kernel.STEPS, kernel.STABLE_STEPS, kernel.RADIUS, kernel.SWITCH)
    return out, Facts("matrix", products, *(stats[:, i].copy() for i in counted))


def _raise_failures(stats: Array, rtol: float) -> None:
    bad = np.flatnonzero(stats[:, kernel.STATUS] != kernel.DONE)
    if not len(bad):
        return
    i, when = int(bad[0]), stats[bad[0], kernel.WHEN]
    who = f"member {i} of {len(stats)}" if len(stats) > 1 else "the flow"
    what = {
        kernel.BLEW_UP: f"blew up near t = {when:.4g} (a weight passed {BLOW_UP:g}): shorten t or start smaller",
        kernel.TOO_SMALL: f"could take no step at t = {when:.4g}: the field is not smooth there at rtol = {rtol:g}; loosen rtol",
        kernel.TOO_MANY: f"needed more than {MAX_EVALUATIONS} evaluations by t = {when:.4g}: loosen rtol or pass method='RKL2'",
    }[int(stats[i, kernel.STATUS])]
    raise SolverError(f"{who} {what}")


def _rates(B: int, *values: Any) -> Array:
    """(B, 4), padded with zeros."""
    rates = np.zeros((B, 4))
    for i, value in enumerate(values):
        value = np.asarray(value, float)
        if value.shape not in ((), (B,)) or not np.isfinite(value).all() or (value < 0).any():
            raise FlowError(f"a rate has shape {value.shape} or a value below 0: give a number >= 0, or {B} of them")
        rates[:, i] = value
    return rates


def _check_shapes(expected: dict[str, tuple[Array | None, tuple[int, ...]]]) -> None:
    for name, (X, shape) in expected.items():
        if X is not None and X.shape != shape:
            raise FlowError(f"{name} has shape {X.shape}: with this W0 it must be {shape}")


def _check_temperature(tau: float) -> None:
    if not 0 < tau < np.inf:
        raise FlowError(f"tau = {tau}: the temperature must be a finite number > 0")


def _unpack(y: Array, k: int, d: int, ema: bool, predictor: bool) -> dict[str, Array]:
    names = ["W", *(["V"] if ema else []), *(["P"] if predictor else [])]
    sizes = [k * k if name == "P" else k * d for name in names]
    blocks = np.split(y, np.cumsum(sizes)[:-1], axis=-1)
    return {name: X.reshape(*y.shape[:-1], -1, k) for name, X in zip(names, blocks, strict=True)}


def _flat(X: Array) -> Array:
    return np.ascontiguousarray(X).reshape(len(X), -1)


def _diag(M: Array) -> Array:
    return np.ascontiguousarray(np.diagonal(M, axis1=-2, axis2=-1))


def _diagonal(M: Array) -> bool:
    """Off-diagonal entries of M (..., n, m) are rounding against its largest."""
    off = M.copy()
    i = range(min(M.shape[-2:]))
    off[..., i, i] = 0
    return bool((np.abs(off) <= SAME * np.abs(M).max(initial=0.0)).all())
