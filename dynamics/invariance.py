"""The invariance loss J = ½ E‖Wx - Wx⁺‖² = ½ tr(W S Wᵀ): its flow, and beside it the closed form.

In the note's time (loss without the ½, rate eta_note): t = 2 eta_note t_note. Source: note, section 3.1.
"""

from __future__ import annotations

import numpy as np

from dynamics.run import Array

BLUR = 1e-7  # 10³ of the flow's own rtol, the law of its closed forms


def field(W: Array, S: Array, eta: float | Array) -> Array:
    """dW/dt = -W S - eta W; W (..., k, d), S (..., d, d)."""
    return -W @ S - eta * W


def closed_form(W0: Array, M: Array, t: Array) -> Array:
    """W(t) = W0 e^{-M t} (T, k, d) for symmetric M (d, d), by one eigendecomposition; M may be singular. Exact.

    The invariance flow has M = S + eta I; the predictor-free flow with stop-gradient has M = A - C + eta I.
    Not asked beyond where `blurred`.
    """
    values, vectors = np.linalg.eigh(M)
    decay = np.exp(-t[:, None] * values)
    return ((W0 @ vectors) * decay[:, None, :]) @ vectors.T


def blurred(M: Array, values: Array, t: Array) -> bool:
    """Whether the rounding of M's eigenvalues, 1e-16 of the largest, moves some e^{-lambda t} by BLUR, as a share of max(1, that).

    So it does of an eigenvalue that should be 0, late. Those of a diagonal M have no rounding.
    """
    if np.count_nonzero(M) == np.count_nonzero(np.diag(M)):
        return False
    time, off, slowest = np.abs(t), np.finfo(float).eps * np.abs(values).max(), max(values.min(), 0.0)
    return bool((off * time * np.exp(-slowest * time)).max() > BLUR)


def target_form(W0: Array, V0: Array, M: Array, beta: float, t: Array) -> Array:
    """V(t) (T, k, d) of dV/dt = beta (W - V) from V0 beside W of `closed_form`. Exact.

    Column by column in M's basis V = V0 e^{-beta t} + W0 beta (e^{-lambda t} - e^{-beta t}) / (beta - lambda), the quotient
    t e^{-lambda t} where the two rates meet.
    """
    values, vectors = np.linalg.eigh(M)
    x = np.abs(beta - values) * t[:, None]
    gathered = t[:, None] * np.exp(-np.minimum(beta, values) * t[:, None])
    gathered *= np.where(x > 0, -np.expm1(-x) / np.where(x > 0, x, 1.0), 1.0)
    kept = np.exp(-beta * t)[:, None, None] * (V0 @ vectors)
    return (kept + beta * gathered[:, None, :] * (W0 @ vectors)) @ vectors.T
