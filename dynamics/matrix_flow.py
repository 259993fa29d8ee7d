"""Matrix flows, fast: predictor with or without stop-gradient, and InfoNCE, for d = 1 to 512, one problem or thousands. Integrated.

The flows are those of `dynamics.predictor` (Lemma 1 of Tian et al. 2021) and of the InfoNCE loss of a linear encoder;
here they are arranged for speed and nothing else: rotated into the eigenbasis of A, where W A costs no product (and W Cᵀ
none where C commutes with A), stepped without temporaries (`dynamics.matrix_driver`, or side by side in
`dynamics.matrix_lanes`), and, where the start is aligned with the moments, taken apart into scalar modes
(`dynamics.matrix_modes`). Times are flow times (see `dynamics`), as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dynamics.matrix_field import INFO_NCE, INFO_NCE_SAMPLES, NO_STOP_GRADIENT, PREDICTOR
from dynamics.matrix_input import FlowError, members, rates, real, shares, starts
from dynamics.matrix_modes import Modes, aligned
from dynamics.matrix_moments import Moments
from dynamics.matrix_problem import DEFAULT, Facts, Problem, Stepping
from dynamics.matrix_samples import arranged
from dynamics.run import Array


@dataclass(frozen=True)
class MatrixFlow:
    """W (B, T, k, d), P (B, T, k, k), V (B, T, k, d) at the times t (T,); without the B axis where the start had none.

    Kept as integrated and turned back on demand. `coordinates` has Wᵀ (B, T, d, k), and Vᵀ and Pᵀ where the flow has them,
    in the eigenbasis of A (`basis` (..., d, d)); or, of an aligned start, the diagonals (T, k) in its `modes`. V is W for an
    online target; P is None for InfoNCE.
    """

    t: Array
    coordinates: dict[str, Array]
    basis: Array
    modes: Modes | None
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
        P = self.coordinates["P"]
        return self._shaped(P.mT if self.modes is None else self.modes.predictor(P)[None])

    def _encoder(self, name: str) -> Array:
        X = self.coordinates[name]
        return self._shaped((self.basis[:, None] @ X).mT if self.modes is None else self.modes.encoder(X)[None])

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
    B: Array | None = None,
    alpha_p: float | Array = 1.0,
    eta: float | Array = 0.0,
    eta_p: float | Array | None = None,
    beta: float | Array = 1.0,
    symmetric: bool = False,
    levels: tuple[float, ...] = (),
    stepping: Stepping = DEFAULT,
) -> MatrixFlow:
    """The flow of `predictor.field` from (W0, P0, V0) over t (T,), t[0] the start. Integrated to stepping.rtol.

        G = V Cᵀ - P W A    dW/dt = PᵀG - eta W    dP/dt = alpha_p G Wᵀ - eta_p P    dV/dt = beta (W - V)

    W0 (k, d), P0 (k, k), or (n, k, d), (n, k, k) for n members; V0 None is the online target V = W, otherwise an EMA
    target that starts there. A, C (d, d) or (n, d, d), A symmetric, C any; rates are numbers or (n,), per unit of t;
    B = E[x⁺x⁺ᵀ], shaped as A, asks for the flow without stop-gradient: dW/dt gets P W C - W B, and the target is V = W;
    eta_p None is eta; alpha_p = eta_p = 0 leaves P as it is. symmetric: dP/dt is replaced by its symmetric part.
    An aligned start is taken apart into modes, without levels; entries of its W0, P0 and V0 between the modes count as 0 up to
    stepping.atol, in units of the largest (of 1, if that is smaller), and 2e-14 of it at most: where modes so small are to
    grow, give a smaller atol.
    levels: asks for the first times at which ‖W‖ / ‖W0‖ passes them, into `facts.passages` (n, E).
    Each member steps with its own error control, blind to the others; but only one alone is taken apart into modes, so that
    beside others its numbers may differ within the tolerance. Raises FlowError (bad input) and SolverError (blow-up, no convergence).
    """
    W0, P0, single = starts("W0", W0), starts("P0", P0), np.ndim(W0) == 2
    V0 = None if V0 is None else starts("V0", V0)
    size, k, d = W0.shape
    for name, X, shape in (("W0", W0, (size, k, d)), ("P0", P0, (size, k, k)), ("V0", V0, (size, k, d))):
        if X is not None and X.shape != shape:
            raise FlowError(f"{name} has shape {X.shape}: with this W0 it must be {shape}")
    if B is not None and V0 is not None:
        raise FlowError("give V0 or B, not both: without stop-gradient the target is W itself")
    r = rates(size, alpha_p, eta, eta if eta_p is None else eta_p, beta)
    m, t, levels = Moments.of(A, C, size, d, B), real("t", t), shares(levels)
    if not levels and (modes := aligned(m, W0, P0, V0, stepping.atol)) is not None:
        coordinates, facts = modes.solve(r, t, stepping)
        return MatrixFlow(t, coordinates, m.basis, modes, single, facts)
    encoders = [W0] if V0 is None else [W0, V0]
    y0 = np.concatenate([_flat((X @ m.basis).mT) for X in encoders] + [_flat(P0.mT)], axis=1)
    kind = PREDICTOR if B is None else NO_STOP_GRADIENT
    problem = Problem(kind, k, d, m, r, y0, ema=V0 is not None, symmetric=symmetric)
    return _solved(problem, ("W", "P") if V0 is None else ("W", "V", "P"), t, stepping, single, levels)


def info_nce_flow(
    W0: Array, A: Array, C: Array, t: Array, *, tau: float = 1.0, stepping: Stepping = DEFAULT
) -> MatrixFlow:
    """Gradient flow of InfoNCE (dot-product critic) of z = W x with infinitely many negatives, Gaussian views. Integrated.

        L - log N -> -tr(W C Wᵀ)/tau + tr(W A Wᵀ W A Wᵀ)/(2 tau²)    dW/dt = (2/tau) W (C + Cᵀ)/2 - (2/tau²) W A Wᵀ W A

    since log E exp(z·z⁺/tau) = zᵀ(W A Wᵀ)z/(2 tau²) for candidates x⁺ ~ N(0, A): exchangeable views, E[x xᵀ] = E[x⁺ x⁺ᵀ].
    Arguments as for `predictor_flow`; tau > 0 is the temperature. It is half the spectral contrastive loss of W/√tau.
    """
    W0, C, single = starts("W0", W0), members("C", C), np.ndim(W0) == 2
    B, k, d = W0.shape
    if C.shape[1] != C.shape[2]:
        raise FlowError(f"C has shape {C.shape[1:]}: give a finite ({d}, {d}) matrix, or one a member")
    m = Moments.of(A, (C + C.mT) / 2, B, d)
    problem = Problem(INFO_NCE, k, d, m, rates(B, _temperature(tau)), _flat((W0 @ m.basis).mT))
    return _solved(problem, ("W",), t, stepping, single)


def info_nce_sample_flow(
    W0: Array, X: Array, X_plus: Array, t: Array, *, tau: float = 1.0, stepping: Stepping = DEFAULT
) -> MatrixFlow:
    """Gradient flow of InfoNCE, -(1/N) Σ_i log softmax_i(z_i · z⁺_j / tau), on N fixed pairs X, X⁺ (N, d), z = W x. Integrated.

    Memory 8 N² bytes for the scores; N in the thousands at most. Arguments otherwise as for `info_nce_flow`.
    """
    W0, X, X_plus, single = starts("W0", W0), real("X", X), real("X_plus", X_plus), np.ndim(W0) == 2
    B, k, d = W0.shape
    if X.shape != X_plus.shape or X.ndim != 2 or X.shape[1] != d or not len(X) or not np.isfinite(X + X_plus).all():
        raise FlowError(f"X {X.shape} and X_plus {X_plus.shape} must both be finite (N, {d}), one row a pair, N >= 1")
    m = Moments.of(np.eye(d), np.eye(d), B, d)
    r = rates(B, _temperature(tau))
    pairs = arranged(X @ m.basis[0], X_plus @ m.basis[0], k)
    problem = Problem(INFO_NCE_SAMPLES, k, d, m, r, _flat((W0 @ m.basis).mT), samples=pairs)
    return _solved(problem, ("W",), t, stepping, single)


def _solved(
    q: Problem, names: tuple[str, ...], t: Array, stepping: Stepping, single: bool, levels: tuple[float, ...] = ()
) -> MatrixFlow:
    y, facts = q.solve(t, stepping, levels)
    sizes = [q.k * (q.k if name == "P" else q.d) for name in names]
    blocks = np.split(y, np.cumsum(sizes)[:-1], axis=-1)
    shaped = {name: X.reshape(*y.shape[:-1], -1, q.k) for name, X in zip(names, blocks, strict=True)}
    return MatrixFlow(real("t", t), shaped, q.moments.basis, None, single, facts)


def _temperature(tau: float) -> float:
    if real("tau", tau).ndim or not 0 < tau < np.inf:
        raise FlowError(f"tau = {tau}: the temperature must be one finite number > 0")
    return tau


def _flat(X: Array) -> Array:
    return np.ascontiguousarray(X).reshape(len(X), -1)
