"""A step of RKL4, the stabilised method for stiff spectra, and the spectral radius that its stages follow. Compiled.

Its coefficients, and where they come from: `dynamics.stabilised_tableau`. Step control and power iteration are those of RKC:
Sommeijer, Shampine & Verwer, J. Comput. Appl. Math. 88 (1998) 315.
"""

from __future__ import annotations

import numpy as np

from dynamics.matrix_compiled import compiled
from dynamics.matrix_explicit import EPS, STAGES, combine, copy, norm
from dynamics.matrix_field import velocity
from dynamics.stabilised_tableau import ERROR, LENGTH, STAGE, A, B

GROWTH = 1.2  # of a step; with RKC's 3 a sixth of the steps are rejected, and the stiff flows of benchmarks/ cost a third more


@compiled
def row_for(table, reach):
    """The first row whose method is stable to reach = h rho; the last one where none is."""
    for i in range(len(table)):
        if reach <= table[i, LENGTH]:
            return i
    return len(table) - 1


@compiled
def stabilised_step(p, row, s, y, h, K, y_new, before, f):
    """One step of s stages from y with K[0] = f(y): y_new and K[12] = f(y_new). s evaluations.

    Order 4; stable for h rho <= row[LENGTH]. `before` becomes the recurrence's last stage, K[1] to K[4] the rates of the
    finishing method that starts from it.
    """
    far, near, k = before, y_new, STAGE
    for i in range(len(y)):
        far[i] = y[i]
        near[i] = y[i] + row[k] * h * K[0, i]
    for _ in range(s - 5):
        k += 3
        mu_h, nu, kappa = row[k] * h, row[k + 1], row[k + 2]
        velocity(p, near, f)
        for i in range(len(y)):
            far[i] = mu_h * f[i] + nu * near[i] - kappa * far[i]
        far, near = near, far
    if s % 2 == 1:  # the last stage of the recurrence is in y_new
        copy(y_new, before)
    velocity(p, before, K[1])
    first = A
    for stage in range(1, 4):
        combine(y_new, before, h, row[first : first + stage], K[1:])
        velocity(p, y_new, K[1 + stage])
        first += stage
    combine(y_new, before, h, row[B:ERROR], K[1:])
    velocity(p, y_new, K[STAGES])


@compiled
def stabilised_error(row, y, y_new, before, h, K, rtol, atol):
    """The estimate h Σ_j row[ERROR + j] K[1 + j] + row[ERROR + 4] (y - before), of size h⁴, over the tolerance."""
    total = 0.0
    for i in range(len(y)):
        rate = 0.0
        for j in range(4):
            rate += row[ERROR + j] * K[1 + j, i]
        e = h * rate + row[ERROR + 4] * (y[i] - before[i])
        total += (e / (atol + rtol * max(abs(y[i]), abs(y_new[i])))) ** 2
    return np.sqrt(total / len(y))


@compiled
def hermite_output(y, y_new, h, f0, f_new, x, out):
    """y at the share x of a step from both ends and their rates, order 3, into out."""
    for i in range(len(y)):
        rise = y_new[i] - y[i]
        bend = (1 - 2 * x) * rise + h * ((x - 1) * f0[i] + x * f_new[i])
        out[i] = y[i] + x * rise + x * (x - 1) * bend


@compiled
def spectral_radius(p, y, f0, direction, buffer, f, most):
    """(rho, evaluations): |largest eigenvalue| of the Jacobian at y by power iteration on differences of the field.

    direction: where the last call ended (0: start along f0), kept for the next. To 1 % or `most` iterations, each 1 evaluation.
    """
    n = len(y)
    length = norm(direction)
    if length == 0.0:
        for i in range(n):
            direction[i] = f0[i] + EPS * (1 + i % 7) * (1 + abs(y[i]))  # never exactly in an invariant subspace
        length = norm(direction)
    delta = np.sqrt(EPS) * max(norm(y), EPS)
    rho = 0.0
    for count in range(1, most + 1):
        x = delta / length
        for i in range(n):
            buffer[i] = y[i] + x * direction[i]
        velocity(p, buffer, f)
        last, total = rho, 0.0
        for i in range(n):
            direction[i] = f[i] - f0[i]
            total += direction[i] ** 2
        length = np.sqrt(total)
        rho = length / delta
        if length == 0.0 or (count > 1 and abs(rho - last) <= 0.01 * rho):
            return rho, count
    return rho, most


@compiled
def stabilised_growth(error, previous, h, h_previous):
    """Factor from an accepted step to the next; it looks one step back and predicts, as RKC does. h_previous 0: none.

    At most GROWTH: near the edge of stability what is stiff grows by so much a step, and is seen before it must be rejected.
    """
    plain = 0.8 * max(error, 1e-12) ** (-1 / 4)
    predicted = plain * h / h_previous * (max(previous, 1e-12) / max(error, 1e-12)) ** (1 / 4)
    return min(GROWTH, max(0.1, predicted if h_previous > 0.0 else plain))
