"""Fields of one mode that several tests use."""

from __future__ import annotations


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
