"""Lines of proof on the flow of the invariance loss: its gradient, its modes, what it does to distances and to norms."""

from __future__ import annotations

import sympy as sp

from derivations.algebra import T, directional, matrix, rewrite, sum_of_squares, tr
from derivations.proof import Step

W, V, v = matrix("W"), matrix("V"), matrix("v")
S, A = matrix("S", symmetric=True), matrix("A", symmetric=True)
t, lam, w0 = sp.symbols("t lambda w_0", real=True)


def _quadratic() -> tuple[sp.Expr, sp.Expr]:
    """d/dε of tr((W+εV) S (W+εV)ᵀ) at 0, and ⟨2WS, V⟩."""
    return tr(directional(W * S * T(W), {W: V})), tr(2 * W * S * T(V))


GRADIENT = Step(
    r"d/d\varepsilon\ \mathrm{tr}\big((W+\varepsilon V)S(W+\varepsilon V)^\top\big) = \langle 2WS, V\rangle",
    lambda: _quadratic()[0] - _quadratic()[1],
    lambda: _quadratic()[0] - _quadratic()[1] / 2,
)
REDUCTION = Step(
    r"Sv = \lambda v:\ \tfrac{d}{dt}(Wv) = -WSv = -\lambda\,Wv, \text{ and the symmetric } S \text{ has a basis of such } v",
    lambda: rewrite(-W * S * v + lam * W * v, {S * v: lam * v}),
    lambda: rewrite(-W * S * v + lam**2 * W * v, {S * v: lam * v}),
)


def _mode_solution(factor: int) -> sp.Expr:
    w = w0 * sp.exp(-lam * t)
    return sp.diff(w, t) + factor * lam * w


def _mode_limit(positive: bool) -> bool:
    time = sp.Symbol("t", positive=True)
    rate = sp.Symbol("lambda", positive=True) if positive else sp.Integer(0)
    return bool(sp.limit(sp.exp(-rate * time), time, sp.oo) == 0)


MODE = Step(
    r"w(t) = w_0 e^{-\lambda t} \text{ solves } \dot w = -\lambda w,\ w(0) = w_0",
    lambda: _mode_solution(1),
    lambda: _mode_solution(2),
)
LIMIT = Step(r"\lambda > 0 \Rightarrow e^{-\lambda t} \to 0", lambda: _mode_limit(True), lambda: _mode_limit(False))
KEPT = Step(
    r"\lambda = 0:\ w(t) = w_0 \text{ for ever, so } W(t) \to W(0)\Pi_{\ker S}",
    lambda: (w0 * sp.exp(-lam * t)).subs(lam, 0) - w0,
    lambda: (w0 * sp.exp(-lam * t)).subs(lam, 1) - w0,
)
VARIANCE = Step(
    r"\tfrac{d}{dt}\,\mathrm{tr}(WAW^\top) = -\mathrm{tr}\big(W(SA + AS)W^\top\big)",
    lambda: tr(directional(W * A * T(W), {W: -W * S})) + tr(W * (S * A + A * S) * T(W)),
    lambda: tr(directional(W * A * T(W), {W: -W * S})) + tr(W * (S * A) * T(W)),
)


def _sign(direction: int) -> bool:
    s, a, w = sp.symbols("s a w", nonnegative=True)
    return bool((-2 * direction * s * a * w**2).is_nonpositive)


COMMUTING = Step(
    r"\text{on a common eigenvector of } S \text{ and } A:\ -2 s a w^2 \le 0", lambda: _sign(1), lambda: _sign(-1)
)
PAIRS = Step(
    r"\tfrac{d}{dt}\,\mathrm{tr}(WSW^\top) = -2\|WS\|_F^2 \le 0",
    lambda: sum_of_squares(-directional(W * S * T(W), {W: -W * S}), (2, W * S)),
    lambda: sum_of_squares(-directional(W * S * T(W), {W: -W * S}), (1, W * S)),
)
