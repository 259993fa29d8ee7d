"""Between the steps of a matrix flow: outputs at the times asked for, and passages of levels by root finding. Compiled."""

from __future__ import annotations

import numpy as np

from dynamics.matrix_clock import EVALUATIONS, SIZE, STABLE, WHEN
from dynamics.matrix_explicit import EXTRA, STAGES, copy, explicit_output, extra_stages, norm
from dynamics.matrix_field import compiled
from dynamics.matrix_stabilised import hermite_output

TINY = 1e-300  # below any norm: keeps the logarithm of an exact 0 finite
ROOT_TRIES, ROOT_TOLERANCE = 60, 1e-12  # of an event: the last update, in units of t


@compiled
def _between(tableau, y, h, K, work, x, out, s):
    """out <- y at the share x of the step just made, by the method's own interpolant."""
    if s[STABLE]:
        hermite_output(y, work[0], h, K[0], K[STAGES], x, out)
    else:
        explicit_output(tableau, y, work[0], h, K, x, out)


@compiled
def _prepare(p, tableau, y, h, K, work, s):
    if not s[STABLE]:
        extra_stages(p, tableau, y, h, K, work[2])
        s[EVALUATIONS] += EXTRA


@compiled
def write(p, tableau, y, h, ahead, K, work, t, out, ready, s):
    """Outputs written: out[i] <- y(t[i]) for the t up to `ahead`; ready: the extra stages are there."""
    written = 0
    while written < len(t) and t[written] <= ahead:
        if t[written] == ahead:
            copy(work[0], out[written])
        else:
            if not ready:
                _prepare(p, tableau, y, h, K, work, s)
                ready = True
            _between(tableau, y, h, K, work, (t[written] - s[WHEN]) / h, out[written], s)
        written += 1
    return written


@compiled
def events(p, tableau, y, h, ahead, K, work, levels, found, size0, s):
    """The first passage of each level within the step just made, if it is one; True where the extra stages were made."""
    before, ready = s[SIZE] - size0, False
    s[SIZE] = np.log(max(norm(work[0, : p[1] * p[2]]), TINY))
    after = s[SIZE] - size0
    for e in range(len(levels)):
        if np.isnan(found[e]) and np.sign(before - levels[e]) != np.sign(after - levels[e]):
            if not ready:
                _prepare(p, tableau, y, h, K, work, s)
                ready = True
            x = _root(p, tableau, y, h, K, work, size0 + levels[e], before - levels[e], after - levels[e], s)
            found[e] = min(s[WHEN] + x * h, ahead)
    return ready


@compiled
def _root(p, tableau, y, h, K, work, level, fa, fb, s):
    """The share of the step at which log ‖W‖ is at the level: Anderson and Björck's regula falsi, bracketed throughout."""
    a, b, x = 0.0, 1.0, 1.0
    for _ in range(ROOT_TRIES):
        before, x = x, b - fb * (b - a) / (fb - fa)
        _between(tableau, y, h, K, work, x, work[1], s)
        fx = np.log(max(norm(work[1, : p[1] * p[2]]), TINY)) - level
        if fx == 0.0 or abs(x - before) * h < ROOT_TOLERANCE:
            return x
        if (fx < 0.0) != (fb < 0.0):
            a, fa = b, fb
        else:
            fa *= 1.0 - fx / fb if fx / fb < 1.0 else 0.5
        b, fb = x, fx
    return x
