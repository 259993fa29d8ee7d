"""Fields and members of one mode that several tests use, and the members by scipy."""

from __future__ import annotations

import numpy as np
from scipy.integrate import odeint

from dynamics import modes

MEMBERS = 8


def sized(p, w, v, a, c, alpha_p, beta, eta, eta_p):
    """modes.field; a term that is always zero leaves it no rational function."""
    r = c * v - a * p * w + 0.0 * abs(w)
    return alpha_p * w * r - eta_p * p, p * r - eta * w, beta * (w - v)


def jacobian(p, w, v, a, c, alpha_p, beta, eta, eta_p):
    """Of modes.field: row i for velocity i."""
    r, drp, drw = c * v - a * p * w, -a * w, -a * p
    return (
        (alpha_p * w * drp - eta_p, alpha_p * (r + w * drw), alpha_p * w * c),
        (r + p * drp, p * drw - eta, p * c),
        (0.0, beta, -beta),
    )


def marks(p, w, v, a, c, alpha_p, beta, eta, eta_p):
    """Two events: the weight falls to 0.3; the predictor crosses half its goal c/a."""
    return w - 0.3, p - 0.5 * c / a


def draw(seed: int, members: int = MEMBERS, stiffness: float = 1.0):
    """Mild members, or with stiffness stiff ones: (p, w, v), and (a, c, alpha_p, beta, eta, eta_p); a scalar is of all members."""
    rng = np.random.default_rng(seed)
    p, w, tau = rng.uniform(-0.3, 1.0, members), rng.uniform(0.1, 1.0, members), rng.uniform(0.0, 1.0, members)
    rates = stiffness * rng.uniform(0.5, 2.0, members), stiffness * rng.uniform(0.2, 2.0, members)
    return (p, w, tau * w), (1 + rng.uniform(0, 1, members), 0.8, *rates, rng.uniform(0, 0.2, members), 0.05)


def hard(seed: int, members: int, decades: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """y0 (M, 3), q (M, 6) of modes.field: alpha_p and beta log-uniform over these decades, p(0) of either sign, tau up to 2."""
    rng = np.random.default_rng(seed)
    p, w, tau = rng.uniform(-1, 1, members), rng.uniform(0.1, 1, members), rng.uniform(0, 2, members)
    a, c, (alpha_p, beta) = (
        rng.uniform(1, 2, members),
        rng.uniform(0.5, 1, members),
        10 ** rng.uniform(*decades, (2, members)),
    )
    return np.stack([p, w, tau * w], 1), np.stack([a, c, alpha_p, beta, *rng.uniform(0, 0.2, (2, members))], 1)


def by_lsoda(y0: np.ndarray, q: np.ndarray, times: np.ndarray) -> np.ndarray:
    """One member (T, 3) of modes.field by scipy's LSODA at rtol 1e-13, which leaves it 1e-11 from Radau at the same. times[0] is
    0, and equal times may follow one another."""
    return odeint(lambda y, _: modes.field(*y, *q), y0, times, rtol=1e-13, atol=1e-20, mxstep=200_000)
