"""What happens within the step that a lane has just made: its events, its output times, and the states there.

Letters and kernels as in `dynamics.lanes`. dense: is there a kernel between? accept: `lanes.ACCEPT`.
"""

from __future__ import annotations

from math import isnan, nan

import numpy as np

from dynamics.lanes import ACCEPTED, DONE, EVENTS, H_OLD, LANES, STOPPED, T_END, T_NEXT, T_OLD, WAITING, H, T, compiled
from dynamics.regula_falsi import narrowed, proposed

# of the fraction of a step: between which a root is known; the secant there is far closer to a simple one
ROOT_TOLERANCE = 1e-10
# tries in which the bracket of a root must be halved: mild events take a twentieth more tries by it, with 3 two fifths
PATIENCE = 4
ROOT_TRIES = 150  # 34 halvings, in four tries each


@compiled
def look(advance, between, dense, S, alone, accept, l, here, n, m, times, at, stop, when):
    """Events and outputs within the step that lane l has just made; DONE, STOPPED or WAITING.

    Of several terminal events the first in time counts, with those at the same, and nothing beyond it happens.
    """
    if S[ACCEPTED * LANES + l] == 0.0:
        return WAITING
    i, events = here[0, l], len(stop)
    old, h, last, stopper = S[T_OLD * LANES + l], S[H_OLD * LANES + l], S[T * LANES + l], -1
    for terminal in (True, False):
        for e in range(events):
            if stop[e] == terminal and S[(EVENTS + e) * LANES + l] != 0.0:
                found = old + h * root(advance, between, dense, S, alone, accept, l, n, m, events, e)
                found = S[T * LANES + l] if found > S[T * LANES + l] else found  # by rounding
                if found <= last:  # false for NaN: no root
                    when[i, e] = found
                    S[(EVENTS + e) * LANES + l] = 0.0
                    if terminal:
                        for other in range(e):
                            when[i, other] = nan if when[i, other] > found else when[i, other]
                        last, stopper = found, e
    while S[T_NEXT * LANES + l] <= last:
        within(advance, between, dense, S, alone, accept, l, n, m, events, (S[T_NEXT * LANES + l] - old) / h)
        for j in range(n):
            at[here[1, l], i, j] = alone[(EVENTS + 3 * events + j) * LANES]
        here[1, l] += 1
        S[T_NEXT * LANES + l] = times[here[1, l]] if here[1, l] < len(times) else np.inf
    if stopper >= 0:
        within(advance, between, dense, S, alone, accept, l, n, m, events, (last - old) / h)
        alone[T * LANES] = last
        return STOPPED
    return DONE if last >= S[T_END * LANES + l] else WAITING


@compiled
def within(advance, between, dense, S, alone, accept, l, n, m, events, theta):
    """The state and the event values at theta of lane l's last step, in lane 0 of `alone`.

    Where the method has no formula for them by its own step of that fraction, as accurate as the step itself.
    """
    if dense:
        between(S, alone, l, theta * S[H_OLD * LANES + l])
        return
    first = EVENTS + 3 * events
    for r in range(first, first + 2 * n):
        alone[r * LANES] = S[(r + 2 * n) * LANES + l]  # y and k before the step
    for r in range(first + 4 * n, first + 4 * n + m):
        alone[r * LANES] = S[r * LANES + l]
    alone[T * LANES], alone[H * LANES], alone[T_END * LANES] = 0.0, theta * S[H_OLD * LANES + l], np.inf
    advance(alone, 1, accept)


@compiled
def root(advance, between, dense, S, alone, accept, l, n, m, events, e):
    """The fraction of lane l's last step at which event e first is 0 or of the other sign. NaN if it is neither at the step's
    end, or where it ceases to be a number.

    A short step of the secant is no root: an event that falls by ten orders has a secant's root beside its flat end. So
    the two ends must close in on it: a proposal beside one of them is moved away from it, and a bracket that PATIENCE tries
    have not halved is halved.
    """
    a, b, width = 0.0, 1.0, 1.0
    fa, fb = S[(EVENTS + events + e) * LANES + l], S[(EVENTS + 2 * events + e) * LANES + l]
    side = -1.0 if fa > 0.0 else 1.0
    fa, fb = side * fa, side * fb
    if not (fa < 0.0 and fb >= 0.0):
        return nan
    for i in range(ROOT_TRIES):
        if abs(b - a) <= ROOT_TOLERANCE:
            break
        x = proposed(a, fa, b, fb)
        least = (0.5 if a > b else -0.5) * ROOT_TOLERANCE
        x = b + least if abs(x - b) < abs(least) else x
        x = a - least if abs(x - a) < abs(least) else x  # at the step's start a stiff step of length 0 would be none
        if i % PATIENCE == PATIENCE - 1:
            stuck = abs(b - a) > 0.5 * width
            x = 0.5 * (a + b) if stuck else x
            width = 0.5 * abs(b - a) if stuck else abs(b - a)
        within(advance, between, dense, S, alone, accept, l, n, m, events, x)
        a, fa, b, fb = narrowed(a, fa, b, fb, x, side * alone[(EVENTS + 2 * events + e) * LANES])
    return nan if isnan(fa) or isnan(fb) else proposed(a, fa, b, fb)
