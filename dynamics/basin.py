"""The basin of collapse of one mode in the (p, w) plane, V = W: its boundary, and which side a start lies on. Integrated.

On the parabola w² = p²/alpha_p the boundary is the point p-; off it, it is a curve, the stable manifold of that saddle.
Source: Tian et al. 2021, section 3.2 (their p < p- is right on the parabola only).
"""

from __future__ import annotations

import numpy as np

from dynamics import modes
from dynamics.run import Array
from dynamics.solver import integrate

LINE_RTOL = 1e-8  # two orders below what a line of one pixel shows
POINTS = 500  # of each branch
NEAR = 1e-3  # of c/a: a mode this close to a fixed point, and ten times closer than the saddle p- is, lies in its basin


def collapses(p0: float, w0: float, a: float, c: float, alpha_p: float, eta: float) -> bool:
    """True if the mode started at (p0, w0) ends with w = 0; decided by integrating until it is NEAR 0 or p+.

    Needs eta > 0: without decay the end is not one of finitely many points (see `predictor.balance`). Beyond
    eta = c²/4a every start collapses. Raises ValueError, also for a start so close to the boundary that neither end is
    reached within 200 of the slowest time constants, 1/eta or that of the saddle.
    """
    if eta <= 0:
        raise ValueError("the basin is defined by fixed points that need weight decay: give eta > 0")
    roots = modes.fixed_points(a, c, eta)
    if w0 == 0 or not np.isfinite(roots.p_plus):
        return True
    saddle, rest = float(roots.p_minus), float(roots.p_plus)
    scale = np.array([1.0, np.sqrt(alpha_p)])  # of p and w: the flow of (p, √alpha_p w) has no alpha_p
    ends = np.array([[0.0, 0.0], [rest, rest]])
    near = np.minimum(NEAR * c / a, 0.1 * np.array([saddle, rest - saddle]))

    def velocity(_: float, y: Array) -> Array:
        return np.stack(_by_logarithm(y[:, 0], y[:, 1], a, c, alpha_p, eta), axis=1)

    horizon = 20.0 / min(eta, a * saddle * max(rest - saddle, NEAR**2 * c / a))  # a p- (p+ - p-): the saddle's own rate
    y = np.array([[p0, eta * np.log(abs(w0))]])
    for _ in range(10):
        y = integrate(velocity, y, np.array([0.0, horizon])).y[-1]
        p, w = y[0, 0], np.exp(y[0, 1] / eta)
        inside = np.linalg.norm(np.array([p, w]) * scale - ends, axis=1) < near
        if inside.any():
            return bool(inside[0])
    raise ValueError(f"({p0}, {w0}) lies too close to the boundary of the basin to tell: move it")


def separatrix(a: float, alpha_p: float, eta: float, low: float, high: float) -> Array:
    """The boundary of collapse (n, 2): the stable manifold of p-, integrated backwards from the saddle both ways.

    At eta = 0 the saddle degenerates: c = s - p²/alpha_p is conserved, and the boundary is the curves of c through the
    ends (0, 0) and (1/a, 0) of the line s = 0 of fixed points that repel. Empty where there is no saddle.
    """
    if eta == 0:
        left, right = np.linspace(low, 0.0, 100), np.linspace(1 / a, high, 100)
        gap = np.full((1, 2), np.nan)
        return np.concatenate(
            [np.column_stack([left, left**2 / alpha_p]), gap, np.column_stack([right, (right**2 - a**-2) / alpha_p])]
        )
    p = float(modes.fixed_points(a, 1.0, eta).p_minus)
    if not np.isfinite(p):
        return np.empty((0, 2))
    saddle = np.array([p, p / np.sqrt(alpha_p)])
    values, vectors = np.linalg.eig(modes.jacobian(saddle[0], saddle[1], a, 1.0, alpha_p, eta))
    direction = np.real(vectors[:, np.argmin(np.real(values))])

    def backwards(_: float, y: Array) -> Array:  # by arc length in (p, w), so that no branch blows up
        dp, du = _by_logarithm(y[:, 0], y[:, 1], a, 1.0, alpha_p, eta)
        return -np.stack([dp, du], axis=1) / np.hypot(dp, np.exp(y[:, 1] / eta) * du / eta)[:, None]

    # to the frame's sides: along the parabola w is as long as p / √alpha_p
    length = np.linspace(0.0, 2.5 * (1 + alpha_p**-0.5) * max(abs(low), abs(high), 1 / a), POINTS)
    near = 1e-6 * saddle[1] * direction  # of w, which under weak decay is small itself
    ends = np.stack([saddle - near, saddle + near])
    y = integrate(backwards, np.column_stack([ends[:, 0], eta * np.log(ends[:, 1])]), length, rtol=LINE_RTOL).y
    path = np.concatenate([y[::-1, 0], y[:, 1]])
    return np.column_stack([path[:, 0], np.exp(2 * path[:, 1] / eta)])


def _by_logarithm(p: Array, u: Array, a: float, c: float, alpha_p: float, eta: float) -> tuple[Array, Array]:
    """(p', u') with u = eta log w: from p > c/a w falls by e^{-c²(a p/c - 1)²/2 a eta} and comes back, so that under weak decay
    log w alone is of order 1/eta."""
    return alpha_p * np.exp(2 * u / eta) * (c - a * p) - eta * p, eta * (p * (c - a * p) - eta)
