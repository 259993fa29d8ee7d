"""When ‖W‖ of a matrix flow passes a level for the first time, within a step of its integrator. Compiled.

A step passes a level where its ends lie on two sides of it; or where they lie on one, and the curve between them comes across
and goes back. Sizes are g = log ‖W‖, slopes those of g for a whole step.
"""

from __future__ import annotations

import numpy as np

from dynamics.matrix_compiled import compiled
from dynamics.matrix_explicit import STAGES, explicit_output
from dynamics.matrix_stabilised import hermite_output
from dynamics.regula_falsi import narrowed, proposed

TINY = 1e-300  # below any norm: keeps the logarithm of an exact 0 finite
ROOT_TRIES, ROOT_TOLERANCE = 60, 1e-12  # of an event: the last update, in units of t
GOLDEN, NARROW = (np.sqrt(5) - 1) / 2, 1e-6  # of a step: as g is flat at its lowest, that is 1e-12 of what it bends by


@compiled
def size_and_slope(W, dW, lanes, l):
    """(log ‖W‖, its slope ⟨W, dW⟩ / ‖W‖²) of lane l of so many; no rotation of the inputs changes them."""
    inner, square = 0.0, 0.0
    for place in range(l, len(W), lanes):
        inner += W[place] * dW[place]
        square += W[place] * W[place]
    size = max(np.sqrt(square), TINY)
    return np.log(size), inner / size / size


@compiled
def between(tableau, stable, y, y_new, h, K, x, out):
    """out <- y at the share x of a step, by the method's own interpolant; an explicit one needs its extra stages."""
    if stable:
        hermite_output(y, y_new, h, K[0], K[STAGES], x, out)
    else:
        explicit_output(tableau, y, y_new, h, K, x, out)


@compiled
def passes(levels, found, ends):
    """Whether a step may be the first passage of any level; ends: the sizes before and after it, and the slopes there."""
    before, after, rise, fall = ends
    for e in range(len(levels)):
        u, v = before - levels[e], after - levels[e]
        if np.isnan(found[e]) and (_crosses(u, v) or _may_touch(u, v, rise, fall)):
            return True
    return False


@compiled
def find(kd, tableau, stable, y, y_new, h, K, buffer, levels, found, ends, start, t, length, ahead):
    """found[e] <- the time of the first passage of each level within the step of that length from t to `ahead`, if it has one.

    K are rates, if h is the length, or rates times it, if h is 1; W is the first kd of the state; levels and sizes count from
    `start`.
    """
    before, after, rise, fall = ends
    for e in range(len(levels)):
        u, v, b, level = before - levels[e], after - levels[e], 1.0, start + levels[e]
        if np.isnan(found[e]) and not _crosses(u, v) and _may_touch(u, v, rise, fall):
            b, v = _nearest(kd, tableau, stable, y, y_new, h, K, buffer, level, np.sign(u))
        if np.isnan(found[e]) and _crosses(u, v):
            x = _root(kd, tableau, stable, y, y_new, h, K, buffer, level, u, b, v, length)
            found[e] = min(t + length * x, ahead)


@compiled
def _crosses(u, v):
    return np.sign(u) != np.sign(v)


@compiled
def _may_touch(u, v, rise, fall):
    """Whether sizes u and v, less a level that both are beyond or short of, may come to it between them: ‖W‖² leads there at
    first, comes from there at last, and the tangents at its ends, short of which it stays if it bends one way, meet beyond.

    Of ‖W‖², not its logarithm: where W passes through 0 this bends the other way.
    """
    side = np.sign(u)
    if side != np.sign(v) or not side * rise < 0.0 or not side * fall > 0.0:
        return False
    at_first, at_last = np.exp(2 * u), np.exp(2 * v)  # ‖W‖² over the level's
    down, up = 2 * at_first * rise, 2 * at_last * fall
    meet = (at_last - at_first - up) / (down - up)
    return side * (at_first + down * meet - 1.0) <= 0.0


@compiled
def _nearest(kd, tableau, stable, y, y_new, h, K, buffer, level, side):
    """(share of the step, size less the level) where that is nearest to the other side, or on it: by golden section."""
    a, b, x, z = 0.0, 1.0, 1.0 - GOLDEN, GOLDEN
    fx = _beyond(kd, tableau, stable, y, y_new, h, K, buffer, level, x)
    fz = _beyond(kd, tableau, stable, y, y_new, h, K, buffer, level, z)
    while b - a > NARROW and side * fx > 0.0 and side * fz > 0.0:
        if side * fx < side * fz:
            b, z, fz, x = z, x, fx, z - GOLDEN * (z - a)
            fx = _beyond(kd, tableau, stable, y, y_new, h, K, buffer, level, x)
        else:
            a, x, fx, z = x, z, fz, x + GOLDEN * (b - x)
            fz = _beyond(kd, tableau, stable, y, y_new, h, K, buffer, level, z)
    return (x, fx) if side * fx <= side * fz or side * fx <= 0.0 else (z, fz)


@compiled
def _beyond(kd, tableau, stable, y, y_new, h, K, buffer, level, x):
    between(tableau, stable, y, y_new, h, K, x, buffer)
    return size_and_slope(buffer[:kd], buffer[:kd], 1, 0)[0] - level


@compiled
def _root(kd, tableau, stable, y, y_new, h, K, buffer, level, fa, b, fb, length):
    """The share of the step, up to b, at which log ‖W‖ is at the level."""
    a, x = 0.0, b
    for _ in range(ROOT_TRIES):
        last, x = x, proposed(a, fa, b, fb)
        fx = _beyond(kd, tableau, stable, y, y_new, h, K, buffer, level, x)
        if fx == 0.0 or abs(x - last) * length < ROOT_TOLERANCE:
            return x
        a, fa, b, fb = narrowed(a, fa, b, fb, x, fx)
    return x
