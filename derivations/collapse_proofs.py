"""Lines of proof on what collapse is: the loss of any map, the covariance of any finite law, entropies of a channel.

A finite law is written by its atoms: F and G hold √p_i f(x_i) and √p_i f(x_i⁺) as columns, Z the values z_i,
D = diag(p), e the column of ones, so that eᵀDe = 1.
"""

from __future__ import annotations

from typing import cast

import sympy as sp

from derivations.algebra import T, matrix, rewrite, sum_of_squares, tr
from derivations.proof import Step

F, G, r, c, Z, e, y, Y = (matrix(x) for x in ("F", "G", "r", "c", "Z", "e", "y", "Y"))
D = matrix("D", symmetric=True)
ONE = {T(e) * D * e: sp.Integer(1)}


def _loss(left: sp.Expr, right: sp.Expr, cross: int = 2) -> sp.Expr:
    return left * T(left) - cross * left * T(right) + right * T(right)


NONNEGATIVE = Step(
    r"\mathcal L(f) = \mathrm E\|f\|^2 - 2\,\mathrm E f^\top f^+ + \mathrm E\|f^+\|^2 = \|F-G\|_F^2 \ge 0"
    r"\text{ for any map } f,\ F = (\sqrt{p_i}f(x_i)),\ G = (\sqrt{p_i}f(x_i^+))",
    lambda: sum_of_squares(_loss(F, G), (1, F - G)),
    lambda: sum_of_squares(_loss(F, G, cross=3), (1, F - G)),
)
ATTAINED = Step(
    r"f = c:\ F = G = c\,r^\top,\ r = (\sqrt{p_i}),\text{ so } \mathcal L(c) = 0",
    lambda: tr(_loss(c * T(r), c * T(r))),
    lambda: tr(_loss(c * T(r), -c * T(r))),
)


def _covariance(values: sp.Expr, centred: bool = True) -> sp.Expr:
    """Z D Zᵀ - m mᵀ with m = Z D e."""
    mean = values * D * e
    return rewrite(values * D * T(values) - (mean * T(mean) if centred else 0), ONE)


def _centred(weight: int) -> sp.Expr:
    """Σ minus the second moment of Z - m eᵀ."""
    gap = Z - weight * Z * D * e * T(e)
    return rewrite(_covariance(Z) - gap * D * T(gap), ONE)


CENTRED = Step(
    r"\Sigma = ZDZ^\top - mm^\top = (Z-me^\top)D(Z-me^\top)^\top,\ m = ZDe,\ D = \mathrm{diag}(p),\ e^\top De = 1",
    lambda: _centred(1),
    lambda: _centred(2),
)
CONSTANT = Step(
    r"Z = c\,e^\top \Rightarrow \Sigma = 0",
    lambda: _covariance(c * T(e)),
    lambda: _covariance(c * T(e), centred=False),
)
ONLY_CONSTANT = Step(
    r"\Sigma = yy^\top + YY^\top,\ y = \sqrt{p_j}(z_j-m),\ Y \text{ the other atoms}:\ \mathrm{tr}\,\Sigma - \|y\|^2 = \|Y\|_F^2 "
    r"\ge 0,\text{ so } \Sigma = 0 \Rightarrow z_j = m \text{ wherever } p_j > 0",
    lambda: sum_of_squares(y * T(y) + Y * T(Y) - y * T(y), (1, Y)),
    lambda: sum_of_squares(y * T(y) + Y * T(Y) - 2 * y * T(y), (1, Y)),
)

p, q = sp.symbols("p q", positive=True)
SURPRISE = sp.log(1 + q) / (1 + q)  # -p log p at p = 1 / (1 + q), 0 < p < 1


def _chain(sign: int) -> sp.Expr:
    """-log p(z, x) + log p(x) + log p(z|x), with p(z, x) = p(x) p(z|x): its mean is H(Z, X) - H(X) - H(Z|X)."""
    return cast(sp.Expr, sp.expand_log(-sp.log(p * q)) + sp.log(p) + sign * sp.log(q))


def _difference(known: int) -> sp.Expr:
    """I(Z;S) - I(Z;X) - H(Z|X) by the chain rule, H(Z|S) = 0 where Z = h(S)."""
    HZ, HX, HS, HZgX, HZgS = sp.symbols("HZ HX HS HZgX HZgS")
    I_ZX, I_ZS = HZ + HX - (HX + HZgX), HZ + HS - (HS + HZgS)
    return (I_ZS - I_ZX - HZgX).subs(HZgS, 0 if known else HZ)


def _no_surprise(values: tuple[sp.Expr, ...]) -> bool:
    return all(sp.limit(-p * sp.log(p), p, value, "+" if value == 0 else "-") == 0 for value in values)


ENTROPY_POSITIVE = Step(
    r"-p\log p > 0 \text{ for } 0 < p < 1\ (p = 1/(1+q)),\text{ so } H \ge 0",
    lambda: bool(SURPRISE.is_positive),
    lambda: bool((-SURPRISE).is_positive),
)
ENTROPY_ZERO = Step(
    r"-p\log p = 0 \text{ at } p = 0 \text{ and } p = 1:\ H = 0 \text{ if and only if one value has } p = 1",
    lambda: _no_surprise((sp.S.Zero, sp.S.One)),
    lambda: _no_surprise((sp.S.Zero, sp.S.Half)),
)
CHAIN = Step(r"H(Z,X) = H(X) + H(Z|X), \text{ from } p(z,x) = p(x)p(z|x)", lambda: _chain(1), lambda: _chain(-1))
DIFFERENCE = Step(
    r"H(Z|S) = 0 \text{ for } Z = h(S)\ \Rightarrow\ I(Z;S) - I(Z;X) = H(Z|X) \ge 0",
    lambda: _difference(1),
    lambda: _difference(0),
)
