"""Between the steps of matrix flows side by side: when ‖W‖ of a lane passes a level, by a root of its dense output. Compiled."""

from __future__ import annotations

from dynamics.matrix_compiled import compiled
from dynamics.matrix_lane_steps import gather, output
from dynamics.matrix_output import ROOT_TOLERANCE, ROOT_TRIES, is_first, log_norm
from dynamics.regula_falsi import narrowed, proposed


@compiled
def lane_size(p, wide, l, row):
    """log ‖W‖ of lane l; row (n) is a buffer."""
    W = row[: p[0] * p[1]]
    gather(wide, W, l)
    return log_norm(W)


@compiled
def find_in_lane(p, tableau, Y, new, K, l, t, h, ahead, levels, found, start, before, after, weights, row):
    """found[e] <- the first time at which log ‖W‖ of lane l passes start + levels[e], if it does in its step of size h from t
    to ahead.

    before, after: what it has grown by at the ends of that step, whose extra stages are there; weights, row (n): buffers.
    """
    W = row[: p[0] * p[1]]
    for e in range(len(levels)):
        if not is_first(levels[e], found[e], before, after):
            continue
        a, fa, b, fb, x = 0.0, before - levels[e], 1.0, after - levels[e], 1.0
        for _ in range(ROOT_TRIES):
            last, x = x, proposed(a, fa, b, fb)
            output(tableau, Y, new, K, l, x, weights, row)
            fx = log_norm(W) - start - levels[e]
            if fx == 0.0 or abs(x - last) * h < ROOT_TOLERANCE:
                break
            a, fa, b, fb = narrowed(a, fa, b, fb, x, fx)
        found[e] = min(t + x * h, ahead)
