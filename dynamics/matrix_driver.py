"""The stepper of one matrix flow, compiled: DOP853 while the flow is mild, RKL4 while it is stiff, by measurement.

AUTO measures the spectral radius rho of the Jacobian every few steps: where h rho shows that stability and not error
holds DOP853's step, RKL4 gets a trial, and stays while its evaluations per unit of time are the fewer. Of the measured rho
DOP853's steps are no longer than CALM, where outputs within them are as good as at their ends. An array of
numbers, one a member, is its clockwork: the statistics that are handed out come first, what the stepper remembers after.
"""

from __future__ import annotations

import numpy as np

from dynamics.calm import CALM, GLANCE
from dynamics.matrix_clock import (
    AGE,
    BLEW_UP,
    CLOCKWORK,
    DONE,
    ERROR,
    EVALUATIONS,
    H_OLD,
    LOOK,
    PATIENCE,
    RADIUS,
    REJECTED,
    RHO,
    RUN,
    SINCE,
    SIZE,
    SLOPE,
    SPENT,
    STABLE,
    STABLE_STEPS,
    STATUS,
    STEPS,
    SWITCH,
    TOO_MANY,
    TOO_SMALL,
    WHEN,
    H,
)
from dynamics.matrix_compiled import compiled
from dynamics.matrix_explicit import (
    EPS,
    EXTRA,
    REAL_INTERVAL,
    STAGES,
    copy,
    explicit_error,
    explicit_growth,
    explicit_step,
    extra_stages,
    first_guess,
    first_step,
    norm,
    sound,
)
from dynamics.matrix_field import INFO_NCE, INFO_NCE_SAMPLES, NO_STOP_GRADIENT, narrow, velocity
from dynamics.matrix_output import write
from dynamics.matrix_passages import find, passes, size_and_slope
from dynamics.matrix_samples import slim
from dynamics.matrix_stabilised import (
    row_for,
    spectral_radius,
    stabilised_error,
    stabilised_growth,
    stabilised_step,
)
from dynamics.stabilised_tableau import LENGTH, REACH, SIZES

AUTO, EXPLICIT, STABILISED = 0, 1, 2  # how to step

SAFETY = 1.1  # on the measured radius, which approaches the true one from below
RENEW = 25  # accepted RKL4 steps for which a measured radius serves
FIRST_LOOK, LOOK_EVERY = 20, 20  # accepted steps before AUTO sees whether stability holds it, and between
NEAR = 0.4  # of CALM: shorter steps, which error holds, need no glances between the looks
MOST = 50  # iterations of a whole measurement
TRIAL = 8  # accepted RKL4 steps after which their cost is compared
KEPT = 0.75  # of what earlier trials cost, and of their time: they count for some 30 steps, as long as step sizes swing


@compiled
def advance(p, tableau, table, y, t, out, levels, found, K, work, rtol, atol, method, limit, most, s):
    """One member from t[0] over all of t: out[i] <- y(t[i]); y is overwritten, the clockwork s filled.

    found[e] <- the first time at which log(‖W‖ / ‖W(t[0])‖) passes levels[e], NaN: never. K (16, n) stages; work (4, n):
    the step's end, the stage before it or a buffer, the field there, and the power iteration's direction.
    """
    _start(p, y, t, out, K, work, rtol, atol, method, s)
    i_out, size0, kd = 1, s[SIZE], p[1] * p[2]
    while i_out < len(t) and s[STATUS] == DONE:
        _look(p, y, K, work, method, s)
        h = min(s[H], t[-1] - s[WHEN])
        if 0.0 < s[RHO] < np.inf and not s[STABLE]:
            h = min(h, CALM / s[RHO])
        error, h, count = _try_step(p, tableau, table, s[STABLE], y, h, K, work, rtol, atol, s[RHO])
        s[EVALUATIONS] += count
        s[SPENT] += count
        if not error <= 1.0:
            _reject(y, out[0], error, h, s)
        elif not sound(work[0], limit):
            s[STATUS] = BLEW_UP
        else:
            ahead = t[-1] if h >= t[-1] - s[WHEN] else s[WHEN] + h
            size, slope = size_and_slope(work[0, :kd], K[STAGES, :kd], 1, 0)
            ends = s[SIZE] - size0, size - size0, h * s[SLOPE], h * slope
            passing = passes(levels, found, ends)
            if not s[STABLE] and (t[i_out] < ahead or passing):
                extra_stages(p, tableau, y, h, K, work[2])
                s[EVALUATIONS] += EXTRA
            if passing:
                find(kd, tableau, s[STABLE], y, work[0], h, K, work[1], levels, found, ends, size0, s[WHEN], h, ahead)
            i_out += write(tableau, y, h, ahead, K, work, t[i_out:], out[i_out:], s)
            _accept(y, K, work, error, h, ahead, s)
            s[SIZE], s[SLOPE] = size, slope
            if method == AUTO and s[STABLE] and s[RUN] % TRIAL == 0:
                _reconsider(s)
        if s[EVALUATIONS] > most and i_out < len(t) and s[STATUS] == DONE:
            s[STATUS] = TOO_MANY


@compiled
def _start(p, y, t, out, K, work, rtol, atol, method, s):
    work[3, :] = 0.0
    s[:] = 0.0
    copy(y, out[0])
    velocity(p, y, K[0])
    h0, d1 = first_guess(y, K[0], rtol, atol)
    for i in range(len(y)):
        work[0, i] = y[i] + h0 * K[0, i]
    velocity(p, work[0], work[2])
    stable = method == STABILISED
    s[H] = first_step(y, K[0], work[2], h0, d1, rtol, atol, 4.0 if stable else 8.0)
    s[EVALUATIONS], s[WHEN], s[SINCE], s[STABLE] = 2, t[0], t[0], stable
    s[SWITCH] = t[0] if stable else np.inf
    s[AGE], s[LOOK], s[PATIENCE], s[ERROR] = RENEW if stable else 0.0, FIRST_LOOK, LOOK_EVERY, 1.0
    s[SIZE], s[SLOPE] = size_and_slope(y[: p[1] * p[2]], K[0], 1, 0)


@compiled
def _look(p, y, K, work, method, s):
    """Measure rho where it is due: for RKL4's stages, and for AUTO to hold the explicit step, and see whether it is held."""
    free = method == AUTO and not s[STABLE]
    trial = free and s[RUN] >= s[LOOK]
    unsure = s[RUN] < FIRST_LOOK or s[H] * s[RHO] > NEAR * CALM
    if not (trial or (free and unsure and s[AGE] >= GLANCE) or (s[STABLE] and s[AGE] >= RENEW)):
        return
    whole = trial or s[STABLE]
    s[RHO], count = spectral_radius(p, y, K[0], work[3], work[1], work[2], MOST if whole else 1)
    s[EVALUATIONS] += count
    s[AGE] = 0.0
    if whole:
        s[RADIUS] = max(s[RADIUS], s[RHO])
    if trial:
        s[LOOK] = s[RUN] + LOOK_EVERY
        if s[H_OLD] * s[RHO] > 0.5 * REAL_INTERVAL:
            s[STABLE], s[RUN], s[SPENT], s[SINCE], s[H_OLD] = 1.0, 0.0, 0.0, s[WHEN], 0.0
            s[SWITCH] = min(s[SWITCH], s[WHEN])


@compiled
def _try_step(p, tableau, table, stable, y, h, K, work, rtol, atol, rho):
    """(error over tolerance, h tried, evaluations): y_new = work[0] and its rate K[12], by either method."""
    if not stable:
        explicit_step(p, tableau, y, h, K, work[0], work[1])
        return explicit_error(tableau, y, work[0], h, K, rtol, atol), h, STAGES
    most = row_for(table, REACH * rtol / (10 * EPS))  # rounding grows as s² inside a step, and would exceed rtol
    i = min(most, row_for(table, h * SAFETY * rho))
    h = min(h, table[i, LENGTH] / (SAFETY * rho))
    stabilised_step(p, table[i], SIZES[i], y, h, K, work[0], work[1], work[2])
    return stabilised_error(table[i], y, work[0], work[1], h, K, rtol, atol), h, SIZES[i]


@compiled
def _reject(y, y0, error, h, s):
    if s[STABLE]:
        s[AGE] = RENEW if s[AGE] > 0 else 0  # perhaps the radius grew
        s[H] = h * (max(0.1, 0.8 * error ** (-1 / 4)) if error < np.inf else 0.1)
    else:
        s[H] = h * explicit_growth(error)
    s[REJECTED] = 1.0
    if not s[H] >= 10 * EPS * max(abs(s[WHEN]), EPS):  # a pole stops the clock before the limit; or h is no number
        s[STATUS] = TOO_SMALL if sound(y, 100 * (1 + norm(y0))) else BLEW_UP


@compiled
def _accept(y, K, work, error, h, ahead, s):
    copy(work[0], y)
    copy(K[STAGES], K[0])
    factor = stabilised_growth(error, s[ERROR], h, s[H_OLD]) if s[STABLE] else explicit_growth(error)
    s[H] = h * (min(1.0, factor) if s[REJECTED] else factor)
    s[WHEN], s[ERROR], s[H_OLD], s[REJECTED] = ahead, error, h, 0.0
    s[STEPS] += 1
    s[STABLE_STEPS] += s[STABLE]
    s[RUN] += 1
    s[AGE] += 1


@compiled
def _reconsider(s):
    """AUTO, after a trial of RKL4: back to DOP853, with more patience, if that would have cost less, trials before it included.

    One alone tells little where eigenvalues are complex: steps grow until these are unstable, then start small again.
    """
    if s[SPENT] > STAGES * s[RHO] / CALM * (s[WHEN] - s[SINCE]):
        s[STABLE], s[RUN], s[LOOK], s[H] = 0.0, 0.0, s[PATIENCE], CALM / s[RHO]
        s[PATIENCE] *= 2
    else:
        s[SPENT] *= KEPT
        s[SINCE] += (1 - KEPT) * (s[WHEN] - s[SINCE])


@compiled
def advance_all(
    tableau, table, kind, k, d, ema, symmetric, a, c, C, rates, X, X_plus, todo, y, t, out, levels, found,
    rtol, atol, method, limit, most, stats,
):  # fmt: skip
    """The members in todo by `advance`, one workspace for all. a, c, C, rates (B, ...); y (B, n); out (B, T, n);
    found (B, E); stats (B, 7)."""
    n, N = y.shape[1], len(X)
    if kind == INFO_NCE_SAMPLES:
        few, r = slim(k, d), min(N, d)
        Q, G = np.empty((0 if few else r, N)), np.empty((d, k if few else d))
        stack = np.empty((3 * N, k)) if few else np.empty((r, d))
    elif kind == NO_STOP_GRADIENT:
        Q, G, stack = np.zeros((2 * d, C.shape[2])), np.empty((d, k)), np.empty((3 * d, k))
    else:
        square = kind == INFO_NCE and C.shape[2] > 0 and not narrow(k, d)
        Q, G = np.zeros((d, C.shape[2] + k)), np.empty((d, d if square else k))
        stack = np.empty((C.shape[2] + k if kind == INFO_NCE else 0, k))
    scores = np.empty((N + 2, N))
    K, work, s = np.empty((STAGES + 1 + EXTRA, n)), np.empty((4, n)), np.empty(CLOCKWORK)
    for b in todo:
        for i in range(C.shape[1]):
            for j in range(C.shape[2]):
                Q[i, j] = C[b, i, j]
        p = (kind, k, d, ema, symmetric, a[b], c[b], rates[b], X, X_plus, Q, G, stack, scores)
        advance(p, tableau, table, y[b], t, out[b], levels, found[b], K, work, rtol, atol, method, limit, most, s)
        copy(s[: WHEN + 1], stats[b])
