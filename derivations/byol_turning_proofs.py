"""Lines of proof on the predictor flow with any C: ‖W‖ stays bounded, and with one output W may turn for ever.

W, P, A, C, alpha as in `byol_proofs`; w = (w₁, w₂) is the one row of W, p the number P, θ the angle of the rotation R.
"""

from __future__ import annotations

import sympy as sp

from derivations.algebra import T, matrix, tr
from derivations.byol_proofs import A, C, P, W, a, alpha, c, matrix_balance
from derivations.proof import Step

k = sp.Symbol("k", positive=True, integer=True)


def _energy(keep: int) -> sp.Expr:
    """½ d‖W‖²/dt - tr(YᵀWCᵀ) + keep · tr(YAYᵀ) with Y = PW."""
    Y = P * W
    velocity = T(P) * (W * T(C) - Y * A)
    return tr(velocity * T(W)) - tr(W * T(C) * T(Y)) + keep * tr(Y * A * T(Y))


def _product(power: int) -> sp.Expr:
    """‖PW‖² - alpha (‖WWᵀ‖² + tr K WWᵀ) where PᵀP = alpha (WWᵀ + K)."""
    F, K = matrix("F", symmetric=True), matrix("K", symmetric=True)
    return tr(alpha * (F + K) * F) - alpha**power * (tr(F * F) + tr(K * F))


def _spread(mean: sp.Expr) -> sp.Expr:
    """‖F - mean · I‖² - (‖F‖² - s²/k) with F = WWᵀ (k, k) and s = tr F."""
    F = matrix("F", symmetric=True)
    return tr(F * F) - 2 * mean * tr(F) + k * mean**2 - (tr(F * F) - tr(F) ** 2 / k)


STAYS = (
    Step(
        r"Y = PW:\ \tfrac12\tfrac{d}{dt}\|W\|^2 = \mathrm{tr}(Y^\top WC^\top) - \mathrm{tr}(YAY^\top)"
        r" \le \|Y\|\,(\|C\|_2\|W\| - a\|Y\|),\ a = \lambda_{\min}(A)",
        lambda: _energy(1),
        lambda: _energy(2),
    ),
    Step(
        r"\tfrac{d}{dt}(P^\top P/\alpha_p - WW^\top) = 0\text{: } K = P^\top P/\alpha_p - WW^\top \text{ is kept}",
        lambda: matrix_balance(-1),
        lambda: matrix_balance(1),
    ),
    Step(
        r"P^\top P = \alpha_p(WW^\top + K):\ \|Y\|^2 = \alpha_p(\|WW^\top\|^2 + \mathrm{tr}\,KWW^\top)"
        r" \ge \alpha_p(\|WW^\top\|^2 - \kappa\|W\|^2),\ \kappa = \max(0, -\lambda_{\min}(K))",
        lambda: _product(1),
        lambda: _product(2),
    ),
    Step(
        r"\|WW^\top\|^2 - \|W\|^4/k = \|WW^\top - \tfrac1k\|W\|^2I\|^2 \ge 0\text{: where } \|W\|^2 > R^2 \text{ there is }"
        r"\ a\|Y\| > \|C\|_2\|W\|\text{, and } \|W\| \text{ falls}",
        lambda: _spread(tr(matrix("F", symmetric=True)) / k),
        lambda: _spread(tr(matrix("F", symmetric=True))),
    ),
)

theta = sp.symbols("theta", positive=True)
w1, w2, p = sp.symbols("w1 w2 p", real=True)
ROW = sp.Matrix([[w1, w2]])
MOVED = c * ROW * sp.Matrix([[sp.cos(theta), -sp.sin(theta)], [sp.sin(theta), sp.cos(theta)]])  # W Cᵀ
GAP = MOVED - a * p * ROW
SQUARE = w1**2 + w2**2


def _angle(angle: sp.Expr) -> sp.Expr:
    """w₁ w₂' - w₂ w₁' + p c sin(angle) ‖w‖² with w' = p (w Cᵀ - a p w)."""
    return sp.simplify(p * (w1 * GAP[1] - w2 * GAP[0]) + p * c * sp.sin(angle) * SQUARE)


def _length(weight: sp.Expr) -> bool:
    """½ d‖w‖²/dt = p g ‖w‖² and p' = alpha g ‖w‖² with g = c cos θ - a p: the mode equations with c cos θ in c's place."""
    g = c * weight - a * p
    along = (GAP * ROW.T)[0]
    lines = (p * along - p * g * SQUARE, alpha * along - alpha * g * SQUARE)
    return all(sp.simplify(line) == 0 for line in lines)


def _settles(factor: int) -> sp.Expr:
    """½ d(p - p*)²/dt + factor · a alpha ‖w‖² (p - p*)² with p* = (c/a) cos θ."""
    end = c * sp.cos(theta) / a
    return sp.expand(
        (p - end) * alpha * (c * sp.cos(theta) - a * p) * SQUARE + factor * a * alpha * SQUARE * (p - end) ** 2
    )


def _no_eigenvector(sign: int) -> bool:
    """The characteristic polynomial of CᵀA⁻¹ has the discriminant -4 (c/a)² sin² θ: no real eigenvalue."""
    x = sp.Symbol("x")
    M = c / a * sp.Matrix([[sp.cos(theta), -sp.sin(theta)], [sign * sp.sin(theta), sp.cos(theta)]])
    found = sp.discriminant((x * sp.eye(2) - M).det(), x)
    return sp.simplify(found + 4 * (c / a) ** 2 * sp.sin(theta) ** 2) == 0


TURNS = (
    Step(
        r"\dot w = p(wC^\top - apw):\ \|w\|^2\dot\varphi = w_1\dot w_2 - w_2\dot w_1 = -pc\sin\theta\,\|w\|^2",
        lambda: _angle(theta),
        lambda: _angle(2 * theta),
    ),
    Step(
        r"\tfrac12\tfrac{d}{dt}\|w\|^2 = p(c\cos\theta - ap)\|w\|^2,\ \dot p = \alpha_p(c\cos\theta - ap)\|w\|^2"
        r"\text{, so } \|w\|^2 - p^2/\alpha_p \text{ is kept}",
        lambda: _length(sp.cos(theta)),
        lambda: _length(sp.S.One),
    ),
    Step(
        r"p^* = \tfrac ca\cos\theta:\ \tfrac12\tfrac{d}{dt}(p-p^*)^2 = -a\alpha_p\|w\|^2(p-p^*)^2",
        lambda: _settles(1),
        lambda: _settles(2),
    ),
    Step(
        r"p = p^*:\ \dot\varphi = -\tfrac{c^2}{a}\sin\theta\cos\theta = -\tfrac{c^2}{2a}\sin2\theta \ne 0",
        lambda: sp.simplify(c * sp.cos(theta) / a * c * sp.sin(theta) - c**2 * sp.sin(2 * theta) / (2 * a)),
        lambda: sp.simplify(c * sp.cos(theta) / a * c * sp.sin(theta) - c**2 * sp.sin(2 * theta) / a),
    ),
    Step(
        r"\text{At rest with } p \ne 0:\ wC^\top A^{-1} = pw\text{, but } C^\top A^{-1} \text{ has the discriminant }"
        r"-4(c/a)^2\sin^2\theta < 0\text{: only } w = 0",
        lambda: _no_eigenvector(1),
        lambda: _no_eigenvector(-1),
    ),
)
