"""One step of DOP853 for a flat state, compiled, with its error and its dense output.

Source: Hairer, Nørsett & Wanner, Solving ODEs I, 2nd ed., II.5; coefficients from scipy. The functions that see only
flat arrays and coefficients (`combine`, `output_weights`) serve one member and `dynamics.matrix_lanes` alike.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import DOP853

from dynamics.matrix_compiled import compiled
from dynamics.matrix_field import velocity

STAGES, ORDER, EXTRA = 12, 8, 3
EPS = 2.0**-52
SMALL = 1e-8  # with the default tolerances no start below 10⁴ feels it
# Stage weights (the row of the step itself after the stages'), those of the extra stages, errors of order 5 and 3, dense
# output. An argument of every function that needs it: as constants they would be unrolled, at 10 s of compilation.
TABLEAU = (np.vstack([DOP853.A[:STAGES, :STAGES], DOP853.B]), DOP853.A_EXTRA, DOP853.E5, DOP853.E3, DOP853.D)
REAL_INTERVAL = 6.1  # stable for -6.1 < h lambda < 0 (Hairer's own threshold for stiffness)
BLOCK = 1024  # entries combined at a time: 8 kB a row, so that the running sum stays in the first cache


@compiled
def copy(x, out):  # slice assignment would do, and takes seconds to compile
    """out <- x."""
    for i in range(len(x)):
        out[i] = x[i]


@compiled
def norm(x):
    """‖x‖₂."""
    total = 0.0
    for i in range(len(x)):
        total += x[i] * x[i]
    return np.sqrt(total)


@compiled
def sound(y, limit):
    """Finite and below the limit; a sum of squares would overflow before it told."""
    for i in range(len(y)):  # noqa: SIM110  compiled code has no generators
        if not abs(y[i]) <= limit:
            return False
    return True


@compiled
def combine(out, y, h, row, K):
    """out <- y + h Σ_j row[j] K[j], zeros of the row skipped, one pass over memory."""
    n = len(y)
    for lo in range(0, n, BLOCK):
        part, start = out[lo : lo + BLOCK], y[lo : lo + BLOCK]  # views: an index from `lo` on would not vectorise
        for i in range(len(part)):
            part[i] = start[i]
        for j in range(len(row)):
            if row[j] != 0.0:
                x, rate = h * row[j], K[j, lo : lo + BLOCK]
                for i in range(len(part)):
                    part[i] += x * rate[i]


@compiled
def explicit_step(p, tableau, y, h, K, y_new, last):
    """One DOP853 step of size h from y with K[0] = f(y): y_new, K[12] = f(y_new), and K[11] = f(last). 12 evaluations."""
    for s in range(1, STAGES + 1):
        target = y_new if s == STAGES else last
        combine(target, y, h, tableau[0][s, :s], K)
        velocity(p, target, K[s])


@compiled
def explicit_error(tableau, y, y_new, h, K, rtol, atol):
    """DOP853's error over the tolerance (accept at <= 1), its two estimators of order 5 and 3 blended as in scipy."""
    n, rows5, rows3 = len(y), tableau[2], tableau[3]
    e5, e3 = 0.0, 0.0
    x5, x3 = np.empty(BLOCK), np.empty(BLOCK)
    for lo in range(0, n, BLOCK):
        start, stop = y[lo : lo + BLOCK], y_new[lo : lo + BLOCK]
        for i in range(len(start)):
            x5[i] = x3[i] = 0.0
        for j in range(STAGES):
            if rows5[j] != 0.0 or rows3[j] != 0.0:
                rate, r5, r3 = K[j, lo : lo + BLOCK], rows5[j], rows3[j]
                for i in range(len(start)):
                    x5[i] += r5 * rate[i]
                    x3[i] += r3 * rate[i]
        for i in range(len(start)):
            before, after = abs(start[i]), abs(stop[i])
            share = 1 / (atol + rtol * (before if before > after else after))
            e5 += (x5[i] * share) ** 2
            e3 += (x3[i] * share) ** 2
    return abs(h) * e5 / np.sqrt((e5 + 0.01 * e3) * n) if e5 > 0.0 else e5 + e3


@compiled
def extra_stages(p, tableau, y, h, K, buffer):
    """The three stages that only the dense output needs, K[13] to K[15]. 3 evaluations."""
    for s in range(EXTRA):
        combine(buffer, y, h, tableau[1][s, : STAGES + 1 + s], K)
        velocity(p, buffer, K[STAGES + 1 + s])


@compiled
def output_weights(tableau, x, weights):
    """DOP853's interpolant of order 7 at the share x of a step: y + r (y_new - y) + h Σ_j weights[j] K[j]; returns r.

    It is linear in the stages, extra ones included: the nested polynomial of the source, multiplied out.
    """
    last, bent, first = x, x * (1 - x), x * x * (1 - x)
    factors = (first * (1 - x), first * (1 - x) * x, first * (1 - x) ** 2 * x, first * (1 - x) ** 2 * x**2)
    for j in range(STAGES + 1 + EXTRA):
        weights[j] = 0.0
        for m in range(len(factors)):
            weights[j] += factors[m] * tableau[4][m, j]
    weights[0] += bent - first
    weights[STAGES] -= first
    return last - bent + 2 * first


@compiled
def explicit_output(tableau, y, y_new, h, K, x, out):
    """y at the share x of the step, into out; needs the extra stages."""
    weights = np.empty(STAGES + 1 + EXTRA)
    share = output_weights(tableau, x, weights)
    combine(out, y, h, weights, K)
    for i in range(len(y)):
        out[i] += share * (y_new[i] - y[i])


@compiled
def _felt(y, rtol, atol):
    """atol, or the largest entry's tolerance where atol is below SMALL of it: then an entry of 0 would ask for a first step of 0,
    or for one so small that in it rounding of the others exceeds what the entry has become. Steps too large are mended."""
    largest = 0.0
    for i in range(len(y)):
        largest = max(largest, abs(y[i]))
    return atol if atol > SMALL * rtol * largest else max(atol, rtol * largest)


@compiled
def first_guess(y, f0, rtol, atol):
    """(h0, d1): Hairer's first guess of a step, from the sizes d0, d1 of y and y' over the tolerance."""
    atol = _felt(y, rtol, atol)
    d0, d1 = 0.0, 0.0
    for i in range(len(y)):
        scale = atol + rtol * abs(y[i])
        d0 += (y[i] / scale) ** 2
        d1 += (f0[i] / scale) ** 2
    d0, d1 = np.sqrt(d0 / len(y)), np.sqrt(d1 / len(y))
    return (1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1), d1


@compiled
def first_step(y, f0, f, h0, d1, rtol, atol, order):
    """Hairer's starting step, from the guess and f = f(y + h0 f0), which tells the size of y''."""
    atol = _felt(y, rtol, atol)
    d2 = 0.0
    for i in range(len(y)):
        d2 += ((f[i] - f0[i]) / (atol + rtol * abs(y[i]))) ** 2
    steep = max(d1, np.sqrt(d2 / len(y)) / h0)
    h1 = max(1e-6, h0 * 1e-3) if steep <= 1e-15 else (0.01 / steep) ** (1 / order)
    return min(100 * h0, h1)


@compiled
def explicit_growth(error):
    """Factor from a step of that error over the tolerance to the next: at most 10, and to 0.1 where it was rejected."""
    if error <= 1.0:
        return min(10.0, 0.9 * max(error, 1e-12) ** (-1 / ORDER))
    return max(0.1, 0.8 * error ** (-1 / ORDER)) if error < np.inf else 0.1  # false for NaN: 0.1
