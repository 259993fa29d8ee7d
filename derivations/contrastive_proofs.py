"""Lines of proof on contrastive losses: Wang & Isola's limit with its rate, and NT-Xent expanded at collapse.

The limit. L - log K = -s/τ + E log Y with Y = b/K + X̄, b = e^{s/τ} of the positive, X̄ the mean of K independent
X = e^{x·y/τ}, μ = E X. On unit vectors b, X >= m = e^{-1/τ} > 0, so two bounds on the logarithm give

    b/(Kμ) - (Var X / K + b²/K²)/(mμ)  <=  E log Y - log μ  <=  b/(Kμ).

Collapse. All 2N embeddings lie at one unit vector c and move by ε a_i, a_i orthogonal to c. M swaps the two of each
pair, J is all ones, both (2N, 2N). What is spectral below uses M² = I, MJ = JM = J, J² = 2N J and nothing else.
"""

from __future__ import annotations

from typing import cast

import sympy as sp

from derivations.algebra import T, matrix, rewrite, tr
from derivations.proof import Step

r, mu, b, m, tau, K, v = sp.symbols("r mu b m tau K v", positive=True)

# The limit K -> infinity --------------------------------------------------------------------------------------------


def _decompose(shift: int) -> sp.Expr:
    """-log(e^{s/τ} / (e^{s/τ} + K X̄)) - log K + s/τ - log(b/K + X̄)."""
    s = sp.Symbol("s", real=True)
    x = sp.Symbol("x", positive=True)  # X̄
    loss = -sp.log(sp.exp(s / tau) / (sp.exp(s / tau) + K * x))
    return cast(
        sp.Expr,
        sp.simplify(sp.exp(sp.expand_log(loss - sp.log(K) + shift * s / tau)) - (sp.exp(s / tau) / K + x)),
    )


def _tangent(height: int) -> bool:
    """r - height - log r is 0 at r = 1 and falls before it and rises after it: so log r <= r - 1 for all r > 0."""
    gap = r - height - sp.log(r)
    d = sp.Symbol("d", positive=True)
    slope = sp.diff(gap, r)
    after, before = sp.cancel(slope.subs(r, 1 + d)), sp.cancel(slope.subs(r, 1 / (1 + d)))
    return gap.subs(r, 1) == 0 and bool(after.is_positive) and bool(before.is_negative)


def _lower(power: int) -> sp.Expr:
    """From log(1/r) <= 1/r - 1: log r >= 1 - 1/r = (r - 1) - (r - 1)²/r."""
    return (1 - 1 / r) - ((r - 1) - (r - 1) ** power / r)


def _variance(independent: bool) -> sp.Expr:
    """E (X̄ - μ)² = Σ_ij E ξ_i ξ_j / K² - v/K, where E ξ_i ξ_j = v δ_ij."""
    i, j = sp.symbols("i j", integer=True, positive=True)
    n = sp.Symbol("K", integer=True, positive=True)
    cov = v * sp.KroneckerDelta(i, j) if independent else v
    inner = sp.summation(cov, (j, 1, n))
    if isinstance(inner, sp.Piecewise):  # the delta lies in the range, since 1 <= i <= K in the outer sum
        inner = cast(sp.Expr, inner.args[0].args[0])
    return sp.simplify(sp.summation(inner, (i, 1, n)) / n**2 - v / n)


def _remainder(order: int) -> bool:
    """K times both bounds stays finite, so what is left of the limit is O(1/K)."""
    upper = b / (K * mu)
    lower = upper - (v / K + b**2 / K**2) / (m * mu)
    return all(bool(sp.limit(K**order * bound, K, sp.oo).is_finite) for bound in (upper, lower))


def _distances(power: int) -> sp.Expr:
    """-s/τ + log E e^{s_x/τ} with s = 1 - ½q for both: the constant e^{1/τ} leaves the expectation E e^{-q/2τ}."""
    q, q_plus = sp.symbols("q q_plus", nonnegative=True)
    mean = sp.Symbol("E", positive=True)  # E e^{-q/2τ}
    constant = sp.simplify(sp.exp((1 - q / 2) / tau) / sp.exp(-q / (2 * tau**power)))
    left = -(1 - q_plus / 2) / tau + sp.expand_log(sp.log(constant * mean), force=True)
    return sp.expand(left - q_plus / (2 * tau) - sp.log(mean))


WANG_ISOLA = (
    Step(
        r"\mathcal L - \log K = -s/\tau + \mathrm E\log Y,\ Y = b/K + \bar X,\ b = e^{s/\tau}",
        lambda: _decompose(1),
        lambda: _decompose(-1),
    ),
    Step(
        r"\log r \le r - 1 \text{ with } r = Y/\mu:\ \mathrm E\log Y - \log\mu \le b/(K\mu)",
        lambda: _tangent(1),
        lambda: _tangent(2),
    ),
    Step(
        r"\log r \ge 1 - 1/r = (r-1) - (r-1)^2/r,\text{ and } r \ge m/\mu,\ m = e^{-1/\tau}",
        lambda: _lower(2),
        lambda: _lower(1),
    ),
    Step(
        r"\mathrm E(\bar X-\mu)^2 = \mathrm{Var}X/K,\text{ so } \mathrm E(Y-\mu)^2 = \mathrm{Var}X/K + b^2/K^2",
        lambda: _variance(True),
        lambda: _variance(False),
    ),
    Step(
        r"\tfrac{b}{K\mu} - \tfrac{\mathrm{Var}X/K + b^2/K^2}{m\mu} \le \mathrm E\log Y - \log\mu \le \tfrac{b}{K\mu}:\ O(1/K)",
        lambda: _remainder(1),
        lambda: _remainder(2),
    ),
    Step(
        r"s = 1 - \tfrac12\|f-f^+\|^2:\ -\tfrac s\tau + \log\mathrm E e^{s_x/\tau} "
        r"= \tfrac1{2\tau}\|f-f^+\|^2 + \log\mathrm E e^{-\|f(x)-f(y)\|^2/2\tau}",
        lambda: _distances(1),
        lambda: _distances(2),
    ),
)

# NT-Xent at collapse ------------------------------------------------------------------------------------------------

eps = sp.Symbol("epsilon", real=True)


def _cosine(second: int) -> sp.Expr:
    """The cosine of c + ε a and c + ε a', |c| = 1, up to ε²: 1 - ½ε²|t - t'|², t the part of a orthogonal to c.

    Only inner products enter: h = c·a, h' = c·a', g = |a|², g' = |a'|², x = a·a', so the line holds in any dimension.
    """
    h, h_, g, g_, x = sp.symbols("h h' g g' x", real=True)
    top = 1 + eps * (h + h_) + eps**2 * x
    cosine = top / sp.sqrt((1 + 2 * eps * h + eps**2 * g) * (1 + 2 * eps * h_ + eps**2 * g_))
    series = sp.Add(*(sp.diff(cosine, eps, n).subs(eps, 0) * eps**n / sp.factorial(n) for n in range(3)))
    tangent = (g - h**2) + (g_ - h_**2) - 2 * (x - h * h_)
    return sp.expand(sp.simplify(series) - (1 - eps**2 * tangent / second))


def _log_mean(count: int) -> sp.Expr:
    """d/dq log Σ_{k ≠ i} e^{(1 - q d_k/2)/τ} at q = 0 is -Σ d_k / (2τ(2N-1)): all 2N - 1 terms are equal there.

    D = Σ d_k; to first order in q the sum is e^{1/τ}(2N - 1 - q D/2τ).
    """
    n, q, total = sp.symbols("N q D", positive=True)
    terms = 2 * n - 1
    log = sp.log(terms - q * total / (2 * tau))
    return sp.diff(log, q).subs(q, 0) + total / (2 * tau * (terms + count))


n = sp.Symbol("N", positive=True)
I, M, J = sp.S.One, matrix("M", symmetric=True), matrix("J", symmetric=True)
GROUP: dict[sp.Expr, sp.Expr | int] = {M * M: I, M * J: J, J * M: J, J * J: 2 * n * J}
HESSIAN = (I - M) / (n * tau) - (2 * n - J) / (n * tau * (2 * n - 1))
LOW = -2 / (tau * (2 * n - 1))
HIGH = 2 * (n - 1) / (n * tau * (2 * n - 1))
ALL, EVEN, ODD = J / (2 * n), (I + M) / 2 - J / (2 * n), (I - M) / 2


def _form(pairs: int) -> bool:
    """Both sums as quadratic forms in a coordinate t of the points, and ½H from them:

    Σ_i |t_i - t_i⁺|² = ‖(I - M)t‖² = 2 tᵀ(I - M)t, and Σ_ik |t_i - t_k|² = ‖t eᵀ - e tᵀ‖² = 2 tᵀ(2N - J)t, J = e eᵀ.
    """
    near = rewrite((I - M) * (I - M), GROUP)
    t, e = matrix("t"), matrix("e")
    s, g = sp.symbols("s g", real=True)  # eᵀt and tᵀt
    inner = {T(e) * e: 2 * n, T(e) * t: s, T(t) * e: s, T(t) * t: g}
    traces = [(tr(e * T(e)), 2 * n), (tr(t * T(e)), s), (tr(t * T(t)), g)]
    gap = t * T(e) - e * T(t)
    every = tr(rewrite(gap * T(gap) - 2 * (2 * n * t * T(t) - e * T(e) * t * T(t)), inner)).subs(traces)
    half = (pairs * (I - M) - 2 * (2 * n - J) / (2 * n - 1)) / (4 * n * tau)
    return _same(every, sp.S.Zero) and _same(near, 2 * (I - M)) and _same(half, HESSIAN / 2)


def _projectors(share: sp.Expr) -> bool:
    """The three are projectors that add up to I and exclude each other."""
    even = (I + M) / 2 - share * J / (2 * n)
    three = (ALL, even, ODD)
    squares = all(_same(rewrite(x * x, GROUP), x) for x in three)
    apart = all(_same(rewrite(x * y, GROUP), sp.S.Zero) for x in three for y in three if x is not y)
    return squares and apart and _same(sp.Add(*three), I)


def _same(left: sp.Expr, right: sp.Expr) -> bool:
    return sp.simplify(sp.expand(left - right)) == 0


def _spectrum(low: sp.Expr) -> bool:
    """H = 0·ALL + LOW·EVEN + HIGH·ODD, LOW < 0 <= HIGH for N >= 2 (written N = 1 + j, j > 0)."""
    j = sp.Symbol("j", positive=True)
    signs = bool(low.subs(n, 1 + j).is_negative) and bool(HIGH.subs(n, 1 + j).is_nonnegative)
    return signs and _same(HESSIAN, low * EVEN + HIGH * ODD)


def _dimension(points: int) -> sp.Expr:
    """tr EVEN = (2N + tr M)/2 - tr J/2N = N - 1 > 0 for N >= 2, since tr M = 0 (M moves every point) and tr J = 2N."""
    trace_M, trace_J = 0, 2 * n
    return (points * n + trace_M) / 2 - trace_J / (2 * n) - (n - 1)


SADDLE = (
    Step(
        r"\cos(c+\varepsilon a, c+\varepsilon a') = 1 - \tfrac{\varepsilon^2}2|t-t'|^2 + O(\varepsilon^3),\ t = a - (c^\top a)c:"
        r"\text{ no first order, hence no gradient}",
        lambda: _cosine(2),
        lambda: _cosine(1),
    ),
    Step(
        r"\log\textstyle\sum_{k\ne i}e^{s_{ik}/\tau} = \log(2N-1) + \tfrac1\tau "
        r"- \tfrac{\varepsilon^2}{2\tau(2N-1)}\sum_k|t_i-t_k|^2",
        lambda: _log_mean(0),
        lambda: _log_mean(1),
    ),
    Step(
        r"\mathcal L_2 = \tfrac{1}{4N\tau}\big[\sum_i|t_i-t_{i^+}|^2 - \tfrac1{2N-1}\sum_{ik}|t_i-t_k|^2\big] = \tfrac12\,t^\top Ht,"
        r"\ H = \tfrac1{N\tau}\big[I-M-\tfrac{2N-J}{2N-1}\big]",
        lambda: _form(2),
        lambda: _form(1),
    ),
    Step(
        r"J/2N,\ \tfrac12(I+M)-J/2N,\ \tfrac12(I-M)\text{ are exclusive projectors that add up to } I",
        lambda: _projectors(sp.S.One),
        lambda: _projectors(sp.S.Half),
    ),
    Step(
        r"H = -\tfrac2{\tau(2N-1)}\big[\tfrac12(I+M)-\tfrac J{2N}\big] + \tfrac{2(N-1)}{N\tau(2N-1)}\,\tfrac12(I-M)",
        lambda: _spectrum(LOW),
        lambda: _spectrum(LOW / 2),
    ),
    Step(
        r"\text{the lowest is attained: its space has dimension } N-1 > 0 \text{ for } N \ge 2",
        lambda: _dimension(2),
        lambda: _dimension(1),
    ),
)
