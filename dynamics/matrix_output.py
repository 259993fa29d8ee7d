"""Between the steps of a matrix flow: outputs at the times asked for, and passages of levels by root finding. Compiled."""

from __future__ import annotations

import numpy as np

from dynamics.matrix_clock import STABLE, WHEN
from dynamics.matrix_compiled import compiled
from dynamics.matrix_explicit import STAGES, copy, explicit_output, norm
from dynamics.matrix_stabilised import hermite_output
from dynamics.regula_falsi import narrowed, proposed

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
def write(tableau, y, h, ahead, K, work, t, out, s):
    """Outputs written: out[i] <- y(t[i]) for the t up to `ahead`, the step's end; needs the extra stages inside."""
    written = 0
    while written < len(t) and t[written] <= ahead:
        if t[written] == ahead:
            copy(work[0], out[written])
        else:
            _between(tableau, y, h, K, work, (t[written] - s[WHEN]) / h, out[written], s)
        written += 1
    return written


@compiled
def log_norm(W):
    """log ‖W‖, which no rotation of the inputs changes: near a straight line in t, so that its roots are easy to find."""
    return np.log(max(norm(W), TINY))


@compiled
def log_size(p, y):
    """`log_norm` of the W of a state."""
    return log_norm(y[: p[1] * p[2]])


@compiled
def is_first(level, found, before, after):
    """Whether a step from `before` to `after` is the first passage of the level."""
    return np.isnan(found) and np.sign(before - level) != np.sign(after - level)


@compiled
def passes(levels, found, before, after):
    """`is_first` of any level."""
    for e in range(len(levels)):  # noqa: SIM110  compiled code has no generators
        if is_first(levels[e], found[e], before, after):
            return True
    return False


@compiled
def find(p, tableau, y, h, ahead, K, work, levels, found, size0, before, after, s):
    """found[e] <- the time of the first passage of each level within the step just made, if it is one."""
    for e in range(len(levels)):
        if is_first(levels[e], found[e], before, after):
            x = _root(p, tableau, y, h, K, work, size0 + levels[e], before - levels[e], after - levels[e], s)
            found[e] = min(s[WHEN] + x * h, ahead)


@compiled
def _root(p, tableau, y, h, K, work, level, fa, fb, s):
    """The share of the step at which log ‖W‖ is at the level."""
    a, b, x = 0.0, 1.0, 1.0
    for _ in range(ROOT_TRIES):
        before, x = x, proposed(a, fa, b, fb)
        _between(tableau, y, h, K, work, x, work[1], s)
        fx = log_size(p, work[1]) - level
        if fx == 0.0 or abs(x - before) * h < ROOT_TOLERANCE:
            return x
        a, fa, b, fb = narrowed(a, fa, b, fb, x, fx)
    return x
