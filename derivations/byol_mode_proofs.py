"""Lines of proof on one mode of predictor + stop-gradient: the reduction to modes, balance, and where a mode ends.

A mode is a pair of unit columns u, v with W v = w u, P u = p u, A v = a v, C v = c v; alpha and eta are alpha_p and the
weight decay. The scalars are declared positive; where a line needs their signs it says so.
"""

from __future__ import annotations

import sympy as sp

from derivations.algebra import T, matrix, rewrite
from derivations.byol_proofs import A, C, G, P, V, W, a, alpha, beta, c, eta, v
from derivations.proof import Step

u = matrix("u")
p, w = sp.symbols("p w", positive=True)


def _modes(ratio: sp.Expr) -> bool:
    """The flow maps v and u of a mode to multiples of u: the modes stay, and p, w, ν (V v = ν u) move by scalars."""
    nu = sp.Symbol("nu")
    rules: dict[sp.Expr, sp.Expr | int] = {
        A * v: a * v, T(C) * v: c * v, W * v: w * u, V * v: nu * u, T(W) * u: w * v, P * u: p * u, T(P) * u: p * u,
    }  # fmt: skip
    gap = c * nu - a * p * w
    lines = (
        (T(P) * G - eta * W) * v - (p * gap - eta * w) * u,
        (alpha * G * T(W) - eta * P) * u - (ratio * w * gap - eta * p) * u,
        beta * (W - V) * v - beta * (w - nu) * u,
    )
    return all(rewrite(line, rules) == 0 for line in lines)


REDUCTION = Step(
    r"Wv=wu,\ \bar Wv=\nu u,\ Pu=pu,\ Av=av,\ C^\top v=cv:\ \dot Wv=[p(c\nu-apw)-\eta w]u,\ "
    r"\dot Pu=[\alpha_pw(c\nu-apw)-\eta p]u,\ \dot{\bar W}v=\beta(w-\nu)u\text{: modes stay modes}",
    lambda: _modes(alpha),
    lambda: _modes(sp.S.One),
)
MODE_P = alpha * w * (c * w - a * p * w)  # without decay, online target; p is positive here only in name
MODE_W = p * (c * w - a * p * w)
BALANCE = Step(
    r"\tfrac{d}{dt}(w^2 - p^2/\alpha_p) = -2\eta\,(w^2 - p^2/\alpha_p)\text{: kept without decay}",
    lambda: 2 * w * (MODE_W - eta * w) - 2 * p * (MODE_P - eta * p) / alpha + 2 * eta * (w**2 - p**2 / alpha),
    lambda: 2 * w * (MODE_W - eta * w) + 2 * p * (MODE_P - eta * p) / alpha + 2 * eta * (w**2 - p**2 / alpha),
)


def _approach(factor: int) -> bool:
    """½ d/dt (p - c/a)² is minus a nonnegative multiple of (p - c/a)²."""
    rate = factor * a * alpha * w**2
    return bool(rate.is_positive) and sp.expand((p - c / a) * MODE_P + rate * (p - c / a) ** 2) == 0


APPROACH = Step(
    r"\tfrac12\tfrac{d}{dt}(p-\tfrac ca)^2 = -a\alpha_pw^2(p-\tfrac ca)^2\text{: } p \text{ moves towards } c/a"
    r"\text{, exponentially while } w^2 \text{ stays above a positive number}",
    lambda: _approach(1),
    lambda: _approach(2),
)


def _eigenvalue(power: int) -> sp.Expr:
    """Cᵀ A⁻¹ C A⁻¹ v - (c/a)^power v with Y = A⁻¹, Y v = v/a."""
    Y = matrix("Y")
    rules: dict[sp.Expr, sp.Expr | int] = {Y * v: v / a, C * v: c * v, T(C) * v: c * v}
    return rewrite(T(C) * Y * C * Y * v - (c / a) ** power * v, rules)


EIGENVALUE = Step(
    r"C^\top A^{-1}CA^{-1}v = (c/a)^2v\text{: } W^\top W = C^\top A^{-1}CA^{-1} \text{ says } w^2 = (c/a)^2 \text{ on each mode}",
    lambda: _eigenvalue(2),
    lambda: _eigenvalue(1),
)


def _collapse(sign: int) -> bool:
    """With α w² = p² - q², q >= c/a and p = q + h: h' = -(p + q)(a p - c) h, whose rate is positive."""
    q, h, over = sp.symbols("q h over", positive=True)
    moved = MODE_P.subs(w, sp.sqrt((p**2 - q**2) / alpha))
    rate = sign * (p + q) * (a * p - c)
    positive = sp.expand(rate.subs({p: c / a + over + h, q: c / a + over})).is_positive
    return bool(positive) and sp.simplify(moved + rate * (p - q)) == 0


BELOW = Step(
    r"w^2 = (p^2-q^2)/\alpha_p,\ q \ge c/a:\ \tfrac{d}{dt}(p-q) = -(p+q)(ap-c)(p-q)\text{: } p \to q,\ w \to 0",
    lambda: _collapse(1),
    lambda: _collapse(-1),
)

# On the parabola w² = p²/alpha, with decay --------------------------------------------------------------------------

D = sp.Symbol("D", positive=True)  # √(c² - 4 eta a)
SPEED = p**2 * (c - a * p) - eta * p


def _on_parabola(power: int) -> sp.Expr:
    return (MODE_P - eta * p).subs(w, p / sp.sqrt(alpha)) - (p**power * (c - a * p) - eta * p)


def _factors(scale: sp.Expr) -> sp.Expr:
    below, above = (c - D) / (2 * a), (c + D) / (2 * a)
    return sp.expand(SPEED.subs(eta, (c**2 - D**2) / (4 * a)) + scale * p * (p - below) * (p - above))


def _beyond(part: int) -> sp.Expr:
    """-p'/p = a (p - c/2a)² + eta - c²/4a."""
    return sp.expand(sp.expand(-SPEED / p) - (a * (p - c / (2 * a)) ** 2 + eta - c**2 / (part * a)))


PARABOLA_SPEED = Step(
    r"\text{on } w^2 = p^2/\alpha_p:\ \dot p = p^2(c-ap) - \eta p", lambda: _on_parabola(2), lambda: _on_parabola(1)
)
PHASE_LINE = Step(
    r"\eta < \tfrac{c^2}{4a}:\ \dot p = -a\,p\,(p-p_-)(p-p_+),\ p_\pm = \tfrac{c\pm D}{2a}"
    r"\text{: up to } p_+ \text{ from above } p_-\text{, down to 0 from below}",
    lambda: _factors(a),
    lambda: _factors(sp.S.One),
)
BEYOND = Step(
    r"-\dot p/p = a(p-\tfrac{c}{2a})^2 + \eta - \tfrac{c^2}{4a}\text{: only collapse beyond } \eta = c^2/4a",
    lambda: _beyond(4),
    lambda: _beyond(2),
)
BLIND = (
    Step(
        r"c = 0:\ \tfrac{d}{dt}(pw) = -a\,pw\,(p^2 + \alpha_pw^2)",
        lambda: sp.expand((MODE_P * w + p * MODE_W).subs(c, 0) + a * p * w * (p**2 + alpha * w**2)),
        lambda: sp.expand((MODE_P * w + p * MODE_W).subs(c, 0) - a * p * w * (p**2 + alpha * w**2)),
    ),
    Step(
        r"p^2 + \alpha_pw^2 - 2\sqrt{\alpha_p}\,pw = (p - \sqrt{\alpha_p}w)^2 \ge 0",
        lambda: sp.expand(p**2 + alpha * w**2 - 2 * sp.sqrt(alpha) * p * w - (p - sp.sqrt(alpha) * w) ** 2),
        lambda: sp.expand(p**2 + alpha * w**2 - 3 * sp.sqrt(alpha) * p * w - (p - sp.sqrt(alpha) * w) ** 2),
    ),
    Step(
        r"y = y_0/(1 + 2a\sqrt{\alpha_p}y_0t) \text{ solves } \dot y = -2a\sqrt{\alpha_p}\,y^2\text{, so } pw \le y",
        lambda: _hyperbola(2),
        lambda: _hyperbola(1),
    ),
)


def _hyperbola(factor: int) -> sp.Expr:
    y0, t = sp.symbols("y_0 t", positive=True)
    y = y0 / (1 + 2 * a * sp.sqrt(alpha) * y0 * t)
    return sp.simplify(sp.diff(y, t) + factor * a * sp.sqrt(alpha) * y**2)
