"""One step of DOP853 for the predictor flows of all lanes together, and what one lane takes from it. Compiled.

Entry e of lane l is X[e LANES + l]. The step's size goes into the stages, K = h f, so that every combination has the
same coefficients in all lanes and runs over flat memory.
"""

from __future__ import annotations

import numpy as np

from dynamics.lane_products import LANES, product
from dynamics.matrix_compiled import compiled
from dynamics.matrix_explicit import EPS, EXTRA, STAGES, combine, output_weights
from dynamics.matrix_lane_field import field


@compiled
def spread(row, wide, l):
    """A member's numbers into lane l."""
    for i in range(len(row)):
        wide[i * LANES + l] = row[i]


@compiled
def gather(wide, row, l):
    """Lane l's numbers out of all lanes'."""
    for i in range(len(row)):
        row[i] = wide[i * LANES + l]


@compiled
def step(p, tableau, Y, new, last, K):
    """One step of all lanes: new = y(t + h), K[12] = h f(new); last: the argument of the stage before."""
    for s in range(1, STAGES + 1):
        target = new if s == STAGES else last
        combine(target, Y, 1.0, tableau[0][s, :s], K)
        field(p, target, K[s])


@compiled
def errors_of(tableau, Y, new, K, share, part, rtol, atol, errors):
    """errors[l] <- DOP853's error over the tolerance, as `explicit_error`: its estimators of order 5 and 3, blended."""
    n = len(Y) // LANES
    for i in range(len(Y)):
        share[i] = 1 / (atol + rtol * max(abs(Y[i]), abs(new[i])))
    for which in range(2):
        part[:] = 0.0
        combine(part, part, 1.0, (tableau[3] if which else tableau[2])[:STAGES], K)
        for i in range(len(Y)):
            part[i] *= share[i]
        product(errors, which, part, 0, 0, 1, part, 0, 1, 0, 1, 1, n)
    for l in range(LANES):
        e5, e3 = errors[l], errors[LANES + l]
        errors[l] = e5 / np.sqrt((e5 + 0.01 * e3) * n) if e5 > 0.0 else e5 + e3


@compiled
def glance(p, Y, K, direction, far, sums):
    """sums[l] <- h rho of lane l, nearly: one iteration towards its Jacobian's largest eigenvalue, from the direction that the last
    one left. 1 evaluation. sums has three rows of lanes; far is a buffer."""
    n = len(Y) // LANES
    product(sums, 0, direction, 0, 0, 1, direction, 0, 1, 0, 1, 1, n)
    product(sums, 1, Y, 0, 0, 1, Y, 0, 1, 0, 1, 1, n)
    for l in range(LANES):
        length, nudge = np.sqrt(sums[l]), np.sqrt(EPS) * max(np.sqrt(sums[LANES + l]), EPS)
        sums[l], sums[LANES + l] = nudge / length if length > 0.0 else 0.0, nudge
    for i in range(n):
        for l in range(LANES):
            far[i * LANES + l] = Y[i * LANES + l] + sums[l] * direction[i * LANES + l]
    field(p, far, direction)
    for i in range(len(Y)):
        direction[i] -= K[0, i]
    product(sums, 2, direction, 0, 0, 1, direction, 0, 1, 0, 1, 1, n)
    for l in range(LANES):
        sums[l] = np.sqrt(sums[2 * LANES + l]) / sums[LANES + l]
        if not 0.0 < sums[l] < np.inf:
            astray(direction, l)


@compiled
def astray(direction, l):
    """Any direction into lane l: no symmetry of a state is in it."""
    for i in range(len(direction) // LANES):
        direction[i * LANES + l] = np.sin(1.0 + i * i)


@compiled
def extra(p, tableau, Y, buffer, K):
    """The three stages that only the dense output needs, of all lanes. 3 evaluations."""
    for s in range(EXTRA):
        combine(buffer, Y, 1.0, tableau[1][s, : STAGES + 1 + s], K)
        field(p, buffer, K[STAGES + 1 + s])


@compiled
def output(tableau, Y, new, K, l, x, weights, out):
    """out <- y of lane l at the share x of its step, as `explicit_output`."""
    share = output_weights(tableau, x, weights)
    for i in range(len(out)):
        place = i * LANES + l
        out[i] = Y[place] + share * (new[place] - Y[place])
        for j in range(len(weights)):
            out[i] += weights[j] * K[j, place]


@compiled
def turn(Y, new, K, l, accepted, ratio):
    """The lane's next step: from its end if it was accepted; K[0] scaled to the new step, `ratio` times the last."""
    first = K[STAGES] if accepted else K[0]
    for place in range(l, len(Y), LANES):
        if accepted:
            Y[place] = new[place]
        K[0, place] = ratio * first[place]


@compiled
def is_sound(new, l, limit):
    """Is lane l finite and below the limit?"""
    for place in range(l, len(new), LANES):  # noqa: SIM110  compiled code has no generators
        if not abs(new[place]) <= limit:
            return False
    return True
