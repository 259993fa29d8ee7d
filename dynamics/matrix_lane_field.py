"""The predictor flows of all lanes together, with and without stop-gradient. Compiled; the formulas are those of `matrix_field`.

Entry e of lane l is X[e LANES + l].
"""

from __future__ import annotations

import numpy as np

from dynamics.lane_products import LANES, product
from dynamics.matrix_compiled import compiled
from dynamics.matrix_field import NO_STOP_GRADIENT


@compiled
def workspace(kind, k, d, ema, columns, n):
    """p of `field`: (k, d, ema, kind, Q, G, stack, a, c, gain, decay), the last four repeated entry by entry.

    Q is [C | -a∘Wᵀ], of which C is the member's, or [C; B], all of it; columns: of those matrices, 0 where they are diagonal.
    """
    size, free = k * d * LANES, kind == NO_STOP_GRADIENT
    Q = np.zeros((2 * d * columns if free else d * (columns + k)) * LANES)
    stack, c = np.zeros(3 * size if free else 0), np.zeros(2 * size if free else size)
    return (k, d, ema, kind, Q, np.zeros(size), stack, np.zeros(size), c, np.zeros(n * LANES), np.zeros(n * LANES))


@compiled
def set_moments(p, a, c, C, l):
    """A member's own into lane l."""
    k, d, _, _, Q, _, _, a_wide, c_wide, _, _ = p
    width = len(Q) // (len(C) * LANES)
    for j in range(k):
        for i in range(d):
            a_wide[(i * k + j) * LANES + l] = a[i]
        for i in range(len(c)):
            c_wide[(i * k + j) * LANES + l] = c[i]
    for i in range(len(C)):
        for j in range(C.shape[1]):
            Q[(i * width + j) * LANES + l] = C[i, j]


@compiled
def set_step(p, rates, h, l):
    """gain and decay of lane l for a step of size h: dW, dP and dV scaled and damped."""
    k, d, ema, _, _, _, _, _, _, gain, decay = p
    kd, n = k * d, len(gain) // LANES
    for i in range(n):
        place = i * LANES + l
        if i < kd:
            gain[place], decay[place] = h, h * rates[1]
        elif ema and i < 2 * kd:
            gain[place] = decay[place] = h * rates[3]
        else:
            gain[place], decay[place] = h * rates[0], h * rates[2]


@compiled
def field(p, y, dy):
    """dy <- h times the flow of every lane at y."""
    if p[3] == NO_STOP_GRADIENT:
        _no_stop_gradient(p, y, dy)
    else:
        _predictor(p, y, dy)
    gain, decay = p[9], p[10]
    for i in range(len(y)):
        dy[i] = gain[i] * dy[i] - decay[i] * y[i]


@compiled
def _predictor(p, y, dy):
    k, d, ema, _, Q, G, _, a, c, _, _ = p
    kd = k * d
    v = kd if ema else 0  # where Vᵀ begins
    width = len(Q) // (d * LANES)  # d + k, or k where A and C commute
    left, row = width - k, k * LANES
    for i in range(d):
        aW, x, weight = Q[(i * width + left) * LANES : (i + 1) * width * LANES], y[i * row :], a[i * row :]
        for j in range(row):
            aW[j] = -weight[j] * x[j]
    product(G, 0, Q, 0, width, 1, y, v if left else v + kd, k, 1, d, k, width)
    if not left:
        V = y[v * LANES :]
        for i in range(kd * LANES):
            G[i] += c[i] * V[i]
    product(dy, 0, G, 0, k, 1, y, v + kd, 1, k, d, k, k)
    product(dy, v + kd, y, 0, 1, k, G, 0, k, 1, k, k, d)
    if ema:
        dV = dy[kd * LANES :]
        for i in range(kd * LANES):
            dV[i] = y[i]


@compiled
def _no_stop_gradient(p, y, dy):
    k, d, _, _, Q, G, stack, a, c, _, _ = p
    kd, size = k * d, k * d * LANES
    T, CW, BW = stack[:size], stack[size : 2 * size], stack[2 * size :]
    product(T, 0, y, 0, k, 1, y, kd, k, 1, d, k, k)
    if len(Q):
        product(CW, 0, Q, 0, d, 1, y, 0, k, 1, d, k, d)
        product(BW, 0, Q, d * d, d, 1, y, 0, k, 1, d, k, d)
    else:
        b = c[size:]
        for i in range(size):
            CW[i], BW[i] = c[i] * y[i], b[i] * y[i]
    for i in range(size):
        G[i] = CW[i] - a[i] * T[i]
    product(dy, 0, G, 0, k, 1, y, kd, 1, k, d, k, k)
    product(dy, kd, y, 0, 1, k, G, 0, k, 1, k, k, d)
    if len(Q):
        product(G, 0, Q, 0, 1, d, T, 0, k, 1, d, k, d)
    else:
        for i in range(size):
            G[i] = c[i] * T[i]
    for i in range(size):
        dy[i] += G[i] - BW[i]
