"""Many small predictor flows at once by DOP853: members in lanes side by side, each with its own step, error and clock.

All lanes try a step together (`dynamics.matrix_lane_steps`); a lane whose member has reached the end takes the next.
Lanes do only what goes well: a member that becomes stiff, grows without bound or finds no step is left as it was, for
`dynamics.matrix_driver.advance`, which measures, changes the method or says what is wrong.
"""

from __future__ import annotations

import numpy as np

from dynamics.calm import CALM, GLANCE
from dynamics.lane_products import LANES
from dynamics.lanes import STIFF_COUNT
from dynamics.matrix_clock import DONE, EVALUATIONS, STATUS, STEPS, SWITCH, WHEN
from dynamics.matrix_compiled import compiled
from dynamics.matrix_explicit import (
    EPS,
    EXTRA,
    STAGES,
    copy,
    explicit_growth,
    first_guess,
    first_step,
)
from dynamics.matrix_lane_field import field, set_moments, set_step, workspace
from dynamics.matrix_lane_steps import astray, errors_of, extra, gather, glance, is_sound, output, spread, step, turn
from dynamics.matrix_passages import find, passes, size_and_slope

LEFT = 9  # status of a member that lanes do not finish; no status of `matrix_clock`
NEARLY = 0.99  # of CALM / rho: a step that stability holds, and not error
PAD = 8  # doubles between the stages: rows 4096 bytes apart, as at d = 8, would share the sets of the first cache
# steps to go from which a stiff member costs less alone by RKL4, made anew, than in its lane: measured 1000 to 6000, the fewer the
# larger d
WORTH_LEAVING = 1600.0
FREE, IDLE = -1, -2  # in place of a lane's member: the next may come, or none waits
# rows of the clocks, one column a lane; RHO is the spectral radius, nearly; START is log ‖W‖ at the
# member's start, SIZE how much it has grown, SLOPE how fast it does
NOW, H, REJECTED, HELD, RHO, EVALUATED, ACCEPTED, START, SIZE, SLOPE = range(10)


@compiled
def _enter(p, l, y0, a, c, C, rates, t, Y, K, wide, clock, rtol, atol):
    """Put one member into lane l: its moments, state, first step and K[0]. 2 evaluations."""
    n, kd = len(y0), p[0] * p[1]
    set_moments(p, a, c, C, l)
    f0, f, trial = np.empty(n), np.empty(n), np.empty(n)
    spread(y0, Y, l)
    set_step(p, rates, 1.0, l)
    field(p, Y, wide)
    gather(wide, f0, l)
    h0, d1 = first_guess(y0, f0, rtol, atol)
    for i in range(n):
        trial[i] = y0[i] + h0 * f0[i]
    spread(trial, Y, l)
    field(p, Y, wide)
    gather(wide, f, l)
    spread(y0, Y, l)
    h = min(first_step(y0, f0, f, h0, d1, rtol, atol, 8.0), t[-1] - t[0])
    set_step(p, rates, h, l)
    for i in range(n):
        K[0, i * LANES + l] = h * f0[i]
    clock[:, l] = 0.0
    clock[NOW, l], clock[H, l], clock[EVALUATED, l] = t[0], h, 2.0
    clock[START, l], clock[SLOPE, l] = size_and_slope(y0[:kd], f0[:kd], 1, 0)


@compiled
def _leave(stats, found, clock, l, ended):
    stats[:] = 0.0
    if not ended:
        found[:] = np.nan
    stats[STATUS], stats[EVALUATIONS], stats[STEPS] = DONE if ended else LEFT, clock[EVALUATED, l], clock[ACCEPTED, l]
    stats[SWITCH], stats[WHEN] = np.inf, clock[NOW, l]


@compiled
def _judge(clock, l, error, end):
    """(accepted, next step, step made): what the error says of lane l's try; a next step of 0 gives the member up."""
    tried, factor = clock[H, l], explicit_growth(error)
    accepted = error <= 1.0
    if accepted:
        factor = min(1.0, factor) if clock[REJECTED, l] else factor
        clock[NOW, l] = end if tried >= end - clock[NOW, l] else clock[NOW, l] + tried
        clock[ACCEPTED, l] += 1
        held = tried * clock[RHO, l] > NEARLY * CALM
        clock[HELD, l] = clock[HELD, l] + 1 if held else max(0.0, clock[HELD, l] - 1)
    clock[REJECTED, l] = not accepted
    h = min(tried * factor, CALM / clock[RHO, l]) if clock[RHO, l] > 0.0 else tried * factor
    stiff = clock[HELD, l] >= STIFF_COUNT and end - clock[NOW, l] > WORTH_LEAVING * h
    hopeless = stiff or h < 10 * EPS * max(abs(clock[NOW, l]), EPS)
    return accepted, 0.0 if hopeless else min(h, end - clock[NOW, l]), tried


@compiled
def _fill(p, l, waiting, a, c, C, rates, y, t, out, Y, K, wide, clock, member, i_out, rtol, atol):
    """Lane l gets the next member that waits, or is left idle: nothing moves in it. Returns who waits next."""
    member[l], i_out[l] = IDLE, 1
    if waiting < len(y):
        member[l], b = waiting, waiting
        copy(y[b], out[b, 0])
        _enter(p, l, y[b], a[b], c[b], C[b], rates[b], t, Y, K, wide, clock, rtol, atol)
        return waiting + 1
    set_step(p, rates[0], 0.0, l)
    for place in range(l, len(Y), LANES):
        Y[place] = K[0, place] = 0.0
    return waiting


@compiled
def advance_lanes(
    tableau, kind, k, d, ema, a, c, C, rates, y, t, out, levels, found, rtol, atol, leave_stiff, limit, most, stats
):  # fmt: skip
    """Every member over all of t, as far as DOP853 goes: out[b, i] <- y(t[i]), found[b] and stats[b] filled, y left as it is.

    stats[b, STATUS] is DONE, or LEFT: then all of b is to be made anew by `advance`. Arguments as there, t of two or more.
    """
    n, rows = y.shape[1], STAGES + 1 + EXTRA
    p, K = workspace(kind, k, d, ema, C.shape[2], n), np.zeros((rows, n * LANES + PAD))
    Y, new, last, share = np.zeros(n * LANES), np.zeros(n * LANES), np.zeros(n * LANES), np.zeros(n * LANES)
    clock, errors, sums, weights = np.zeros((10, LANES)), np.zeros(2 * LANES), np.zeros(3 * LANES), np.zeros(rows)
    member, i_out, waiting, turns = np.full(LANES, FREE), np.zeros(LANES, np.int64), 0, 0
    direction = np.zeros(n * LANES)
    own, kd = np.empty((3 + rows, n)), k * d  # one lane's step, to be looked into alone
    while True:
        # members enter then, too: so each has its radius measured at the same steps of its own, whoever is beside it
        due = turns % GLANCE == 0
        for l in range(LANES):
            if due and member[l] == FREE:
                astray(direction, l)
                waiting = _fill(p, l, waiting, a, c, C, rates, y, t, out, Y, K, share, clock, member, i_out, rtol, atol)
        if member.max() < 0 and due:
            return
        if member.max() < 0:
            turns = 0  # all ended between two glances
            continue
        if leave_stiff and due:
            glance(p, Y, K, direction, last, sums)
            for l in range(LANES):
                if member[l] >= 0:
                    clock[EVALUATED, l] += 1
                    clock[RHO, l] = sums[l] / clock[H, l] if 0.0 < sums[l] < np.inf else 0.0
        turns += 1
        step(p, tableau, Y, new, last, K)
        errors_of(tableau, Y, new, K, share, last, rtol, atol, errors)
        dense = False  # whether this step's extra stages are there
        for l in range(LANES):
            b, before = member[l], clock[NOW, l]
            if b < 0:
                continue
            clock[EVALUATED, l] += STAGES
            accepted, h, made = _judge(clock, l, errors[l], t[-1])
            sized, fall = 0.0, 0.0
            if accepted and len(levels):
                sized, fall = size_and_slope(new[: kd * LANES], K[STAGES], LANES, l)
                sized -= clock[START, l]
            ends = clock[SIZE, l], sized, made * clock[SLOPE, l], fall
            passing = accepted and passes(levels, found[b], ends)
            inside = passing or (accepted and t[i_out[l]] < clock[NOW, l])  # whether it has to look within this step
            if inside:
                clock[EVALUATED, l] += EXTRA
                if not dense:
                    extra(p, tableau, Y, last, K)
                dense = True
            if passing:
                gather(Y, own[0], l)
                gather(new, own[1], l)
                for j in range(rows):
                    gather(K[j], own[3 + j], l)
                find(
                    kd, tableau, False, own[0], own[1], 1.0, own[3:], own[2], levels, found[b], ends, clock[START, l], before, made,
                    clock[NOW, l],
                )  # fmt: skip
            while accepted and i_out[l] < len(t) and t[i_out[l]] <= clock[NOW, l]:
                if t[i_out[l]] == clock[NOW, l]:
                    gather(new, out[b, i_out[l]], l)
                else:
                    output(tableau, Y, new, K, l, (t[i_out[l]] - before) / made, weights, out[b, i_out[l]])
                i_out[l] += 1
            if accepted:
                clock[SIZE, l], clock[SLOPE, l] = sized, fall / made
            ended = i_out[l] == len(t)
            if accepted and not is_sound(new, l, limit):
                h, ended = 0.0, False
            if ended or h == 0.0 or clock[EVALUATED, l] > most:
                _leave(stats[b], found[b], clock, l, ended)
                member[l] = FREE
            else:
                turn(Y, new, K, l, accepted, h / made)
                set_step(p, rates[b], h, l)
                clock[H, l] = h
