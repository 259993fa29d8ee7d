"""The driver of compiled ensembles: members move through lanes side by side, each with its own step, clock and end.

All lanes step together, one vector instruction for several; a lane whose member has ended takes the next member at
once, so nobody waits for anybody. Only a lane that calls (an end, an output time, an event, a failure) is looked at
alone. One compiled driver serves every field; a field brings its kernels (`dynamics.kernel_source`), called through
their addresses: advance(S, used, limits) tries one step in the first `used` lanes and returns which of them
call, a bit each; begin(S, l) fills in what follows from the state of lane l (velocity, event values, first step); between(S, alone,
l, h), which not every method has, puts the state and the event values at h within lane l's last step into lane 0 of `alone`.
Integrated.

Letters: S the lanes' memory, where row r of lane l is S[r LANES + l]; l lane, i member, e event, j state.
"""

from __future__ import annotations

from math import isfinite, isnan, nan
from typing import Any

import numpy as np
from numba import njit, types
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray

from dynamics.address import at_address
from dynamics.regula_falsi import narrowed, proposed
from dynamics.run import Array

LANES = 32  # eight AVX2 vectors; measured: with 16 a member takes a twentieth longer, with 8 a third; at most 63, bits of an int64
FEW = 200  # up to so many members half of the lanes are used: the last members to end leave the others idle
LINE = 8  # numbers in a line of the cache; rows of lanes are whole lines

T, H, T_END, T_NEXT = 0, 1, 2, 3  # time, proposed step, end, next output time
TRIES, STEPS, STIFF, ACTIVE = 4, 5, 6, 7  # counts; stiffness; is the lane used
T_OLD, H_OLD, ACCEPTED = 8, 9, 10  # of the step just tried
EVENTS = 11  # then per event: still sought?, its value before the step, and after; then y, k = f(y), both before; q; a kernel's own

DONE, STOPPED, NOT_FINITE, TOO_SMALL, TOO_MANY, STIFFENED, WAITING = 0, 1, 2, 3, 4, 5, 6  # status of a member

STIFF_COUNT = 12.0  # steps, net, at the edge of stability before a member counts as stiff
STIFF_REMAINING = 40.0  # ... counted where that step leaves more than this many to go
# of the fraction of a step: between which a root is known; the secant there is far closer to a simple one
ROOT_TOLERANCE = 1e-10
# tries in which the bracket of a root must be halved: mild events take a twentieth more tries by it, with 3 two fifths
PATIENCE = 4
ROOT_TRIES = 150  # 34 halvings, in four tries each
ACCEPT = (1.0, 1e200, np.inf, np.inf)  # limits under which `advance` accepts whatever step comes

_reals, _table = types.float64[::1], types.float64[:, ::1]
# a user's numbers, however they lie in memory
_parameters = types.Array(types.float64, 2, "A", readonly=True, aligned=False)
_times = types.Array(types.float64, 1, "C", readonly=True)
ADVANCE = types.int64(_reals, types.int64, _reals)
BEGIN = types.int64(_reals, types.int64)
BETWEEN = types.int64(_reals, _reals, types.int64, types.float64)
DRIVE = types.int64(
    types.int64, types.int64, types.int64, _reals, _reals, types.int64[:, ::1], types.int64[::1], _table, _reals, _parameters, _reals,
    _times, types.float64[:, :, :], types.boolean[::1], _table, types.int8[::1], types.int32[::1], types.int32[::1], _table,
)  # fmt: skip

# Without numba's counting of references to arrays (nothing is allocated here), and called functions inline: a member that
# ends and the next one that takes its lane would cost as much as four tries of steps, and cost less than one.
OPTIONS: Any = {"nogil": True, "error_model": "numpy", "_nrt": False}
compiled = njit(**OPTIONS, forceinline=True)
advance_at, begin_at, between_at = at_address(ADVANCE), at_address(BEGIN), at_address(BETWEEN)


def workspace(rows: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """(S, alone, here) of a drive with so many rows: lanes, lanes of which only the first is used, and the member of each lane
    with its next output time.

    The lanes begin at a line of the cache: with every second vector across two of them a try takes a fifth longer.
    """
    size = rows * LANES
    both = np.zeros(2 * size + LINE)
    first = -both.ctypes.data // both.itemsize % LINE
    return both[first : first + size], both[first + size : first + 2 * size], np.zeros((2, LANES), np.int64)


def drive(
    advance_address, begin_address, between_address, S, alone, here, todo, y, t, q, t_end, times, at, stop, when, status, steps,
    tries, limits,
):  # fmt: skip
    """Integrate the members listed in todo, in place: y (M, n), t (M,), and the outputs named after what they hold. Returns how
    many of them are left to a stiff method.

    limits (2, 4): atol, rtol, the most tries of a member, and the count at which a member is stiff; and ACCEPT. S, alone,
    here: `workspace`. between_address: 0 where there is no such kernel.
    """
    advance, begin, between = advance_at(advance_address), begin_at(begin_address), between_at(between_address)
    dense = between_address != 0
    n, events = y.shape[1], len(stop)
    limits, accept = limits[0], limits[1]
    position, busy, stiff = 0, 0, 0
    used = LANES if len(todo) > FEW else LANES // 2
    for l in range(used):
        position = refill(begin, S, l, here, position, todo, y, t, q, t_end, times, stop, when, status)
        busy += S[ACTIVE * LANES + l] != 0.0
    while busy > 0:
        calls = advance(S, used, limits)
        while calls != 0:
            l = trailing_zeros(calls)  # pyright: ignore[reportCallIssue]  compiled code takes one argument
            calls &= calls - 1  # without its lowest bit, l
            i = here[0, l]
            code = look(advance, between, dense, S, alone, accept, l, here, n, q.shape[1], times, at, stop, when)
            if code == WAITING:
                code = trouble(S, l, limits)
            if code == WAITING:
                continue
            source, column = (alone, 0) if code == STOPPED else (S, l)
            for j in range(n):
                y[i, j] = source[(EVENTS + 3 * events + j) * LANES + column]
                if not isfinite(y[i, j]):
                    code = NOT_FINITE
            t[i] = source[T * LANES + column]
            status[i] = code
            stiff += code == STIFFENED
            steps[i] += int(S[STEPS * LANES + l])
            tries[i] += int(S[TRIES * LANES + l])
            position = refill(begin, S, l, here, position, todo, y, t, q, t_end, times, stop, when, status)
            busy -= S[ACTIVE * LANES + l] == 0.0
    return stiff


@compiled
def refill(begin, S, l, here, position, todo, y, t, q, t_end, times, stop, when, status):
    """Put the next member of todo with anything left to do into lane l; returns where todo goes on.

    An event that is 0 counts here, whichever way it will leave: a change of sign within the first step would tell one of the two.
    So it does where the end is the start, too.
    """
    n, events = y.shape[1], when.shape[1]
    while position < len(todo):
        i = todo[position]
        position += 1
        for j in range(n):
            S[(EVENTS + 3 * events + j) * LANES + l] = y[i, j]
        for j in range(q.shape[1]):
            S[(EVENTS + 3 * events + 4 * n + j) * LANES + l] = q[i, j]
        S[TRIES * LANES + l] = S[STEPS * LANES + l] = S[STIFF * LANES + l] = 0.0
        S[T * LANES + l], S[T_END * LANES + l] = t[i], t_end[i]
        S[ACTIVE * LANES + l] = S[ACCEPTED * LANES + l] = 1.0
        begin(S, l)
        if not isfinite(S[H * LANES + l]):
            status[i] = NOT_FINITE
            continue
        # it changes over: at rest on its slow states it would begin with a step to its end, which none can judge
        if t[i] > 0.0:
            S[H * LANES + l] = min(S[H * LANES + l], t[i])
        ended = False
        for e in range(events):
            sought = isnan(when[i, e])
            if sought and S[(EVENTS + 2 * events + e) * LANES + l] == 0.0:
                when[i, e], sought = t[i], False
                ended |= stop[e]
            S[(EVENTS + e) * LANES + l] = 1.0 if sought else 0.0
        if ended or t[i] >= t_end[i]:
            status[i] = STOPPED if ended else DONE
            continue
        here[0, l], here[1, l] = i, np.searchsorted(times, t[i], "right") if len(times) else 0
        S[T_NEXT * LANES + l] = times[here[1, l]] if here[1, l] < len(times) else np.inf
        return position
    S[ACTIVE * LANES + l] = 0.0
    S[H * LANES + l] = 0.0  # an idle lane steps on the spot
    return position


@compiled
def trouble(S, l, limits):
    """Why a lane calls that has nothing to tell: it cannot go on, or not by this method. WAITING if it can."""
    if S[TRIES * LANES + l] >= limits[2]:
        return TOO_MANY
    if S[ACCEPTED * LANES + l] == 0.0:
        return TOO_SMALL
    return STIFFENED if S[STIFF * LANES + l] >= limits[3] else WAITING


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
