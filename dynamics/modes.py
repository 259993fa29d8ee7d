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
TINY = np.finfo(float).tiny  # of numbers with all their digits


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


def jacobian(p: float, w: float, a: float, c: float, alpha_p: float, eta: float) -> Array:
    """∂(p', w')/∂(p, w) (2, 2) for V = W, eta_p = eta."""
    return np.array(
        [
            [-alpha_p * a * w * w - eta, 2 * alpha_p * w * (c - a * p)],
            [w * (c - 2 * a * p), p * (c - a * p) - eta],
        ]
    )


def parabola_solution(p0: Scalar, a: Scalar, c: Scalar, t: Array) -> Array:
    """p(t) (T, ...) for eta = 0 from p0 >= 0, a, c > 0, t (T,) in flow time: u + ln|u| = u0 + ln|u0| - c² t / a, u = c/(a p) - 1.

    From p0 < c/a, u > 0 is ω(u0 + ln u0 - c² t / a), Wright's omega, i.e. Lambert's W of its exponential without the overflow.
    From p0 > c/a, v = 1 + u = c/(a p) solves s(v)² = s(v0)² + 2 c² t / a, s² = -2 (v + ln(1 - v)), see `_from_above`; s is near
    v where v is small, so that nothing small is squared. Exact to rounding, on both sides.
    Raises ValueError for p0 < 0 (its flow creeps up to 0), and for what is or makes no finite numbers above 0.
    """
    p0, a, c = (np.asarray(value, float) for value in (p0, a, c))
    with np.errstate(all="ignore"):  # what leaves the range of numbers is refused
        goal = c / a
        v0 = np.where(p0 > 0, goal / np.where(p0 > 0, p0, 1.0), 1.0)
        ranged = (np.minimum(goal, v0) >= TINY) & np.isfinite(np.maximum(goal, v0))
    if not (np.isfinite(p0) & (p0 >= 0) & (a > 0) & (c > 0) & ranged).all():
        raise ValueError(
            "the parabola's closed form needs finite p0 >= 0, a > 0 and c > 0, and that c/a and c/(a p0) are numbers: integrate "
            "other starts"
        )
    time = t.reshape((len(t),) + (1,) * v0.ndim)
    with np.errstate(over="ignore"):  # to infinity, as to any other late time
        moved = np.sqrt(2 * c) * np.sqrt(goal) * np.sqrt(time)
        gone = moved * moved / 2
    below, above = v0 > 1, v0 < 1
    u0 = np.where(below, v0 - 1, 1.0)
    v = np.where(below, 1 + wrightomega(np.log(u0) + u0 - gone).real, 1.0)
    start = np.where(above, v0, 0.5)
    v = np.where(above, np.maximum(_from_above(np.hypot(_from_branch(start), moved)), start), v)  # v rises, from any p0
    return np.where(p0 > 0, goal / v, 0.0)


def _from_branch(v: Array) -> Array:
    """s(v) = √(-2 (v + ln(1 - v))) for 0 < v < 1: by its series where the difference would lose digits."""
    small = np.minimum(v, 0.1)
    series = small * np.sqrt(2 * np.polyval(1 / np.arange(18.0, 1.0, -1.0), small))  # Σ v^k / k; 0.1^17 is rounding
    return np.where(v < 0.1, series, np.sqrt(-2 * (v + np.log1p(-np.maximum(v, 0.1)))))


def _from_above(s: Array) -> Array:
    """v in (0, 1] with s(v) = s > 0: Lambert's W, mended by Newton's method at its branch point v = 0."""
    s = np.minimum(s, 40.0)  # where v is 1 to the last digit
    near = s - s**2 / 3 + s**3 / 36  # off by a relative 1e-3 where it is used: two steps would do
    v = np.where(s < 0.77, near, 1 + lambertw(-np.exp(-1 - np.maximum(s, 0.77) ** 2 / 2)).real)
    for _ in range(3):
        inside = np.clip(v, TINY, 1 - 1e-16)
        own = _from_branch(inside)
        v = np.where(v < 1, inside - (own - s) * own / inside * (1 - inside), 1.0)
    return v


def parabola_time(p: Scalar, p0: Scalar, a: Scalar, c: Scalar, eta: Scalar) -> Array:
    """Flow time at which the parabola flow from p0 reaches p, nothing at rest between them, for eta > 0. Exact, elementwise.

    With m = c/2a, δ² = m² - eta/a, q = p - m, partial fractions of 1/p' give
        t eta = -ln(p/p0) + ½ ln((q² - δ²)/(q0² - δ²)) + m artanh(δ y)/δ,  y = (q0 - q)/(q q0 - δ²),
    an arctangent where the roots m ∓ δ are conjugate (δ² < 0: beyond eta = c²/4a), and y where they meet.
    """
    p, p0, a, c, eta = (np.asarray(value, float) for value in (p, p0, a, c, eta))
    m = c / (2 * a)
    square, q, q0 = m * m - eta / a, p - m, p0 - m
    delta, top, bottom = np.sqrt(np.abs(square)), q0 - q, q * q0 - square
    split = np.where(delta > 0, delta, 1.0)
    y = delta * top / bottom
    real = np.arctanh(np.where(np.abs(y) < 1, y, 1 / y))  # the same logarithm on either side of |y| = 1
    bend = np.where(square > 0, real, np.arctan2(delta * top, bottom)) / split
    bend = np.where(square == 0, top / bottom, bend)
    return (-np.log(p / p0) + np.log((q * q - square) / (q0 * q0 - square)) / 2 + m * bend) / eta


def alignment_rate(p: Scalar, s: Scalar, a: Scalar, alpha_p: Scalar, tau: Scalar, eta: Scalar) -> Scalar:
    """K_j = a [alpha_p s / 2 + p² - tau p / a] + 3 eta / 2: modes i, j align at rate K_i + K_j (Theorem 3)."""
    return a * (alpha_p * s / 2 + p * p - tau * p / a) + 1.5 * eta
