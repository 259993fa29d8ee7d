"""Lines of proof on predictor + stop-gradient in matrix form, for all dimensions.

W, P, V are encoder, predictor and target, A, B, C the second moments, G = V Cᵀ - P W A the residual moment; alpha and
eta are alpha_p and the weight decay.
"""

from __future__ import annotations

from typing import cast

import sympy as sp

from derivations.algebra import T, directional, matrix, rewrite, sum_of_squares, tr
from derivations.proof import Step

W, P, V, dW, dP, C, Z, E, R, N, m, x, v = (
    matrix(name) for name in ("W", "P", "V", "D", "Q", "C", "Z", "E", "R", "N", "m", "x", "v")
)
A, B = matrix("A", symmetric=True), matrix("B", symmetric=True)
a, c, lam = sp.symbols("a c lambda", positive=True)
alpha, beta, eta = sp.symbols("alpha_p beta eta", positive=True)
LOSS = (P * W * A * T(P * W) - 2 * P * W * C * T(V) + V * B * T(V)) / 2
G = V * T(C) - P * W * A


def difference_step(says: str, left: sp.Expr, right: sp.Expr, wrong: sp.Expr) -> Step:
    """The line left = right, whose mutation left = wrong must fail."""
    return Step(says, lambda: left - right, lambda: left - wrong)


GRAD_W = difference_step(
    r"dJ[W; D] = -\langle P^\top(\bar W C^\top - PWA), D\rangle \text{ with } \bar W \text{ held fixed}",
    tr(directional(LOSS, {W: dW})),
    -tr(T(T(P) * G) * dW),
    -tr(T(T(P) * (V * C - P * W * A)) * dW),
)
GRAD_P = difference_step(
    r"dJ[P; Q] = -\langle (\bar W C^\top - PWA)W^\top, Q\rangle",
    tr(directional(LOSS, {P: dP})),
    -tr(T(G * T(W)) * dP),
    -tr(T(G * W) * dP),
)

# The optimal predictor ----------------------------------------------------------------------------------------------


def _gain(cross: sp.Expr) -> bool:
    """J(Z + E) - J(Z) = ½‖E W R‖², A = R Rᵀ, wherever Z solves the normal equation Z W A Wᵀ = V Cᵀ Wᵀ (here transposed)."""

    def at(Q: sp.Expr) -> sp.Expr:
        return cast(sp.Expr, LOSS.subs({P: Q, T(P): T(Q)}, simultaneous=True))

    gain = sp.expand(at(Z + E) - at(Z))
    gain = rewrite(gain, {W * cross * T(V): W * A * T(W) * T(Z)}).subs(A, R * T(R))
    return sum_of_squares(gain, (sp.S.Half, E * W * R))


def _solves(right: bool) -> sp.Expr:
    """V Cᵀ Wᵀ M⁻¹ · M - V Cᵀ Wᵀ with M = W A Wᵀ and Y = M⁻¹ known by Y M = 1."""
    M, Y = matrix("M"), matrix("Y")
    N_ = V * T(C) * T(W)
    return rewrite((N_ * Y * M if right else M * N_ * Y) - N_, {Y * M: sp.S.One})


OPTIMAL = (
    Step(
        r"J(P^*+E) - J(P^*) = \tfrac12\|EWA^{1/2}\|^2 \ge 0 \text{ where } P^*WAW^\top = \bar WC^\top W^\top",
        lambda: _gain(C),
        lambda: _gain(T(C)),
    ),
    Step(
        r"P^* = \bar WC^\top W^\top(WAW^\top)^{-1} \text{ solves that equation}",
        lambda: _solves(True),
        lambda: _solves(False),
    ),
)


def _at_origin(*velocities: sp.Expr) -> bool:
    zero = {W: 0, V: 0, T(W): 0, T(V): 0}
    return all(sp.expand(velocity).subs(zero) == 0 for velocity in velocities)


ORIGIN = Step(
    r"W = \bar W = 0:\ P^\top G - \eta W = 0,\ \dot P + \eta P = \alpha_pGW^\top = 0,\ \beta(W-\bar W) = 0",
    lambda: _at_origin(T(P) * G - eta * W, alpha * G * T(W), beta * (W - V)),
    lambda: _at_origin(T(P) * G - eta * W, alpha * G * T(W) + P, beta * (W - V)),
)

# Matrix form on isotropic data, and without predictor or stop-gradient ----------------------------------------------


def _isotropic(ratio: sp.Expr) -> bool:
    """A = a I, C = c I, V = W: K = cI - aP gives G = K W, and d‖K‖²/dt = -2 a α ‖G‖²."""
    K = c - a * P
    gap = sp.expand(c * W - a * P * W)
    same = sp.expand(K * W - gap) == 0
    return same and sum_of_squares(-directional(K * T(K), {P: alpha * gap * T(W)}), (2 * a * ratio, gap))


ISOTROPIC_DESCENT = Step(
    r"A = aI,\ C = cI:\ G = (cI-aP)W,\ \tfrac{d}{dt}\|cI-aP\|^2 = -2a\alpha_p\|G\|^2\text{, so } \textstyle\int\|G\|^2 < \infty",
    lambda: _isotropic(alpha),
    lambda: _isotropic(alpha**2),
)


def matrix_balance(sign: int, decay: sp.Expr = sp.S.Zero) -> sp.Expr:
    """dQ/dt + 2 decay Q, Q = WWᵀ + sign PᵀP/alpha, along W' = PᵀN - decay W, P' = alpha N Wᵀ - decay P, for any N."""
    Q = W * T(W) + sign * T(P) * P / alpha
    return directional(Q, {W: T(P) * N - decay * W, P: alpha * N * T(W) - decay * P}) + 2 * decay * Q


BOUNDED = Step(
    r"\tfrac{d}{dt}(WW^\top - P^\top P/\alpha_p) = 0\text{: with } P \text{ also } W \text{ stays bounded, so } G \to 0",
    lambda: matrix_balance(-1),
    lambda: matrix_balance(1),
)


def _no_predictor(good: bool) -> sp.Expr:
    """x = x̄ + n, x⁺ = x̄ + n⁺: A - Cᵀ = X' (noise), so the flow is -W (X' + eta)."""
    X, noise = matrix("X", symmetric=True), matrix("X'", symmetric=True)
    return sp.expand(W * X - W * (X + noise) - eta * W + W * ((noise if good else X) + eta))


def _no_predictor_mode(power: int) -> sp.Expr:
    noise = matrix("X'", symmetric=True)
    return rewrite(-W * (noise + eta) * v + (lam**power + eta) * W * v, {noise * v: lam * v})


NO_PREDICTOR_FLOW = Step(
    r"P = I,\ \bar W = W:\ \dot W = W(C^\top - A) - \eta W = -W(X' + \eta I)",
    lambda: _no_predictor(True),
    lambda: _no_predictor(False),
)
NO_PREDICTOR = (
    NO_PREDICTOR_FLOW,
    Step(
        r"X'v = \lambda v:\ \tfrac{d}{dt}(Wv) = -(\lambda+\eta)\,Wv\text{, solved by } W(t)v = e^{-(\lambda+\eta)t}W(0)v",
        lambda: _no_predictor_mode(1),
        lambda: _no_predictor_mode(2),
    ),
)


def _contraction(keep: int) -> bool:
    """-½ d‖W‖²/dt - (λ + eta)‖W‖² as squares, without stop-gradient, with X' = λI + m mᵀ and X = x xᵀ."""
    noise, X = lam + m * T(m), x * T(x)
    velocity = T(P) * (W * X - P * W * (X + noise)) + P * W * X - W * (X + noise) - eta * W
    rest = -velocity * T(W) - keep * (lam + eta) * W * T(W)
    return sum_of_squares(rest, (lam, P * W), (1, P * W * m), (1, W * m), (1, (P - 1) * W * x))


def _unpredicted(keep: int) -> bool:
    """-½ d‖W‖²/dt - (λ + eta)‖W‖² as squares, without stop-gradient, with x⁺ = R x + n, E[n nᵀ] = λI + m mᵀ, A = x xᵀ."""
    A_ = x * T(x)
    C_, B_ = A_ * T(R), R * A_ * T(R) + lam + m * T(m)
    velocity = T(P) * (W * T(C_) - P * W * A_) + P * W * C_ - W * B_ - eta * W
    rest = -velocity * T(W) - keep * (lam + eta) * W * T(W)
    return sum_of_squares(rest, (1, W * m), (1, (P * W - W * R) * x))


UNPREDICTED = Step(
    r"-\tfrac12\tfrac{d}{dt}\|W\|^2 = (\lambda+\eta)\|W\|^2 + \|Wm\|^2 + \|(PW-WR)x\|^2,"
    r"\ R = C^\top A^{-1},\ B - C^\top A^{-1}C = \lambda I + mm^\top,\ A = xx^\top",
    lambda: _unpredicted(1),
    lambda: _unpredicted(2),
)
CONTRACTION = Step(
    r"-\tfrac12\tfrac{d}{dt}\|W\|^2 = (\lambda+\eta)\|W\|^2 + \lambda\|PW\|^2 + \|PWm\|^2 + \|Wm\|^2 + \|(P-I)Wx\|^2,"
    r"\ X' = \lambda I + mm^\top,\ X = xx^\top",
    lambda: _contraction(1),
    lambda: _contraction(2),
)
