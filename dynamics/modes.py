"""One eigenmode of the predictor flow: scalars p, w, v on a shared eigenvector of P, F, A and C.

    p' = alpha_p w (c v - a p w) - eta_p p      w' = p (c v - a p w) - eta w      v' = beta (w - v)

with a, c the mode's eigenvalues of A and C; s = c w² is F's, tau = v / w. In Tian et al.'s isotropic model c = 1 and
a = 1 + sigma². Polynomial, so nothing divides by a vanishing w (tau itself diverges where eta > beta). On the
parabola w² = p²/alpha_p with V = W everything below reduces to p' = p² (c - a p) - eta p.

All functions are scalar or elementwise; exact unless said. Source: Tian et al. 2021, (11)-(16), re-derived.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import lambertw, wrightomega

from dynamics.run import Array

Scalar = float | Array


def field(
    p: Scalar,
    w: Scalar,
    v: Scalar,
    a: Scalar,
    c: Scalar,
    alpha_p: Scalar,
    beta: Scalar,
    eta: Scalar,
    eta_p: Scalar,
) -> tuple[Scalar, Scalar, Scalar]:
    """(p', w', v') above, per unit t. With an online target pass v = w and ignore v'."""
    r = c * v - a * p * w
    return alpha_p * w * r - eta_p * p, p * r - eta * w, beta * (w - v)


def parabola_field(p: Scalar, a: Scalar, c: Scalar, eta: Scalar) -> Scalar:
    """p' = p² (c - a p) - eta p on the invariant parabola w² = p²/alpha_p, V = W."""
    return p * p * (c - a * p) - eta * p


@dataclass(frozen=True)
class FixedPoints:
    """Roots of p' on the parabola: 0, and p∓ = (c ∓ D) / 2a, D = √(c² - 4 eta a); NaN where D is not real."""

    p_minus: Scalar
    p_plus: Scalar


def fixed_points(a: Scalar, c: Scalar, eta: Scalar) -> FixedPoints:
    """The non-zero fixed points of one mode. p+ attracts, p- separates it from collapse at 0."""
    disc = np.asarray(c, float) ** 2 - 4 * np.asarray(eta, float) * a
    D = np.sqrt(np.where(disc >= 0, disc, np.nan))
    return FixedPoints((c - D) / (2 * np.asarray(a)), (c + D) / (2 * np.asarray(a)))


def decay_number(a: Scalar, c: Scalar, eta: Scalar) -> Scalar:
    """h = eta a / c²: the one dimensionless number of weight decay. Beyond 1/4 only collapse is left."""
    return eta * a / (np.asarray(c) ** 2)


def jacobian(p: float, w: float, a: float, c: float, alpha_p: float, eta: float) -> Array:
    """∂(p', w')/∂(p, w) (2, 2) for V = W, eta_p = eta."""
    return np.array(
        [
            [-alpha_p * a * w * w - eta, 2 * alpha_p * w * (c - a * p)],
            [w * (c - 2 * a * p), p * (c - a * p) - eta],
        ]
    )


def parabola_solution(p0: Scalar, a: Scalar, c: Scalar, t: Array) -> Array:
    """p(t) (T, ...) for eta = 0 from p0 > 0: with u = c/(a p) - 1, u + ln u = u0 + ln u0 - c² t / a (p0 < c/a).

    u = ω(ln u0 + u0 - c²t/a), Wright's omega, i.e. Lambert's W of its exponential without the overflow. From p0 > c/a,
    -1 < u < 0 and u + ln(-u) obeys the same law, hence u = W₀(-exp(·)), which cannot overflow.
    """
    p0, a, c = (np.asarray(value, float) for value in (p0, a, c))
    u0 = c / (a * p0) - 1
    shape = (len(t),) + (1,) * np.ndim(u0)
    x = np.log(np.abs(np.where(u0 == 0, 1.0, u0))) + u0 - c**2 / a * t.reshape(shape)
    above = lambertw(-np.exp(np.minimum(x, -1.0))).real  # only used where u0 < 0, where x <= -1 up to rounding
    u = np.where(u0 > 0, wrightomega(x).real, above)
    return c / (a * (1 + np.where(u0 == 0, 0.0, u)))


def parabola_time(p: Scalar, p0: Scalar, a: Scalar, c: Scalar, eta: Scalar) -> Array:
    """t at which the parabola flow from p0 reaches p, nothing at rest between them, for eta > 0. Exact, elementwise.

    Partial fractions of 1/p': -1/eta at 0 and 1/(-a r (r - r')) at each root r of c p - a p² - eta; beyond eta = c²/4a
    the roots are conjugate and their terms add up to an arctangent.
    """
    p, p0, a, c, eta = (np.asarray(value, float) for value in (p, p0, a, c, eta))
    root = np.sqrt(c**2 - 4 * eta * a + 0j)
    lo, hi = (c - root) / (2 * a), (c + root) / (2 * a)
    total = -np.log(p / p0) / eta
    for r, other in ((lo, hi), (hi, lo)):
        total = total - np.log((p - r) / (p0 - r)) / (a * r * (r - other))
    return total.real


def alignment_rate(p: Scalar, s: Scalar, a: Scalar, alpha_p: Scalar, tau: Scalar, eta: Scalar) -> Scalar:
    """K_j = a [alpha_p s / 2 + p² - tau p / a] + 3 eta / 2: modes i, j align at rate K_i + K_j (Theorem 3)."""
    return a * (alpha_p * s / 2 + p * p - tau * p / a) + 1.5 * eta
