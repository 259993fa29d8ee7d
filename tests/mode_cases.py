"""Fields of one mode that several tests use."""

from __future__ import annotations


def sized(p, w, v, a, c, alpha_p, beta, eta, eta_p):
    """modes.field; a term that is always zero leaves it no rational function."""
    r = c * v - a * p * w + 0.0 * abs(w)
    return alpha_p * w * r - eta_p * p, p * r - eta * w, beta * (w - v)
