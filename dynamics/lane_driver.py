"""The driver of compiled ensembles: members move through lanes side by side, each with its own step, clock and end.

All lanes step together, one vector instruction for several; a lane whose member has ended takes the next member at
once, so nobody waits for anybody. Only a lane that calls (an end, an output time, an event, a failure) is looked at
alone. Letters as in `dynamics.lanes`.
"""

from __future__ import annotations

from math import isfinite, isnan

import numpy as np
from numba import types
from numba.cpython.unsafe.numbers import trailing_zeros

from dynamics.address import at_address
from dynamics.lane_output import look
from dynamics.lanes import (
    ACCEPTED,
    ACTIVE,
    ADVANCE,
    BEGIN,
    BETWEEN,
    DONE,
    EVENTS,
    LANES,
    NOT_FINITE,
    STEPS,
    STIFF,
    STIFFENED,
    STOPPED,
    T_END,
    T_NEXT,
    TOO_MANY,
    TOO_SMALL,
    TRIES,
    WAITING,
    H,
    T,
    compiled,
)

FEW = 200  # up to so many members half of the lanes are used: the last members to end leave the others idle

_reals, _table = types.float64[::1], types.float64[:, ::1]
# a user's numbers, however they lie in memory
_parameters = types.Array(types.float64, 2, "A", readonly=True, aligned=False)
_times = types.Array(types.float64, 1, "C", readonly=True)
DRIVE = types.int64(
    types.int64, types.int64, types.int64, _reals, _reals, types.int64[:, ::1], types.int64[::1], _table, _reals, _parameters, _reals,
    _times, types.float64[:, :, :], types.boolean[::1], _table, types.int8[::1], types.int32[::1], types.int32[::1], _table,
)  # fmt: skip

advance_at, begin_at, between_at = at_address(ADVANCE), at_address(BEGIN), at_address(BETWEEN)


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
    S[H * LANES + l] = 0.0  # an idle lane steps on the spot: where a member is, as at 0 a field may raise
    for r in range(EVENTS + 3 * events, EVENTS + 3 * events + 4 * n + q.shape[1]):
        S[r * LANES + l] = S[r * LANES]
    return position


@compiled
def trouble(S, l, limits):
    """Why a lane calls that has nothing to tell: it cannot go on, or not by this method. WAITING if it can."""
    if S[TRIES * LANES + l] >= limits[2]:
        return TOO_MANY
    if S[ACCEPTED * LANES + l] == 0.0:
        return TOO_SMALL
    return STIFFENED if S[STIFF * LANES + l] >= limits[3] else WAITING
