"""Coefficients of RKL4, the stabilised method of order 4, made from the equations that define them. Exact to rounding.

    R(z) = w(z) P(z) = e^z + O(z⁵),   z = h lambda in [-l, 0],   deg w = 4, deg P = s - 4,   w(0) = P(0) = 1

P is orthogonal on [-l, 0] to all lower degrees under w(z)², so that w P swings about 0, ever less far inside: what is stiff is
damped, and eigenvalues well off the real axis are borne too. P has a three-term recurrence, which makes the first s - 4
stages; w is the stability polynomial of a Runge-Kutta method of four stages that follows them, chosen so that the whole
has order 4 for every smooth field, not only for linear ones. w follows from P by dividing power series, P from w by
Stieltjes' procedure: the two in turn come nearer by a factor of ten and more a round.

Source: Abdulle, SIAM J. Sci. Comput. 23 (2002) 2041: ROCK4, the same with Chebyshev's weight in place of Legendre's, solved
for the zeros of w. It reaches further for the same s and was measured here to lose: it damps less, and the flows turn as
well as decay.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dynamics.machine_code import kept_jit
from dynamics.run import Array

# numbers of stages that are made: every one where it matters, then a seventh more each time
SIZES = (*range(5, 17), 18, 20, 22, 25, 28, 31, 35, 39, 44, 50, 57, 65, 75, 86, 100, 116, 135, 158, 185)  # fmt: skip
REACH = 0.26  # l = REACH (s² - 7): the l for which |R| is least beyond its first descent, 0.75 to 0.92
ROUNDS = 40  # of w from P from w; about ten reach rounding
# c2, c3 of the finishing method, in units of its length: small errors of order 5, and no weight above 9
NODES = (0.1, 0.35)
ESTIMATE = 0.01  # size of the error estimate's coefficients of h⁴: with it rtol holds about what it does for DOP853

# A row of the table: l; a_21, a_31, a_32, a_41, a_42, a_43, b_1..b_4 of the finishing method; the weights of the error
# estimate, of its four rates and of the whole step before it; then mu, nu, kappa of every stage of the recurrence.
LENGTH, A, B, ERROR, STAGE = 0, 1, 7, 11, 16

compiled: Any = kept_jit(nogil=True, error_model="numpy")


@compiled
def stieltjes(z, weight, l, out):
    """out[:, j] <- (mu, nu, kappa) of P_{j+1} = (mu z + nu) P_j - kappa P_{j-1}, all with P_j(0) = 1, for P_j orthogonal under
    the weights at the nodes z."""
    n, m = len(z), out.shape[1]
    before, p = np.zeros(n), np.ones(n)
    b, at0_before, at0, size = 0.0, 0.0, 1.0, 0.0
    for i in range(n):
        size += weight[i]
    for j in range(m):  # p: monic in 4 z / l, so that sizes stay near one another
        a = 0.0
        for i in range(n):
            a += weight[i] * z[i] * p[i] * p[i] / size
        last, size = size, 0.0
        for i in range(n):
            following = 4 * ((z[i] - a) * p[i] - b * before[i]) / l
            before[i], p[i] = p[i], following
            size += weight[i] * following * following
        scale = 4 / l
        following = -scale * (a * at0 + b * at0_before)
        out[0, j], out[1, j] = scale * at0 / following, -scale * a * at0 / following
        out[2, j] = scale * b * at0_before / following
        at0_before, at0 = at0, following
        b = size / last / scale


@compiled
def recurrence(m, l):
    """(mu, nu, kappa) (3, m) of the P above; NaN where w and P do not come to rest."""
    n = m + 40  # Chebyshev's nodes; P and w meet their own conditions whatever the nodes are
    z, weight, out = np.empty(n), np.empty(n), np.empty((3, m))
    for i in range(n):
        z[i] = l * (np.cos((2 * i + 1) * np.pi / (2 * n)) - 1) / 2
    w, p, before = np.zeros(5), np.zeros(5), np.zeros(5)
    w[0], w[1], w[2], w[3], w[4] = 1.0, 0.65, 0.22, 0.05, 0.009
    for _ in range(ROUNDS):
        for i in range(n):
            w_z = w[0] + z[i] * (w[1] + z[i] * (w[2] + z[i] * (w[3] + z[i] * w[4])))
            weight[i] = w_z * w_z * np.sqrt(-z[i] * (z[i] + l))  # the root: from Chebyshev's weight to Legendre's
        stieltjes(z, weight, l, out)
        for i in range(5):
            p[i], before[i] = 0.0, 0.0
        p[0] = 1.0
        for j in range(m):  # the power series of P_j at 0
            for i in range(4, -1, -1):
                following = out[1, j] * p[i] - out[2, j] * before[i] + (out[0, j] * p[i - 1] if i > 0 else 0.0)
                before[i], p[i] = p[i], following
        moved, exponential = 0.0, 1.0
        for i in range(5):  # w = e^z / P
            exponential = exponential / i if i > 0 else 1.0
            following = exponential
            for j in range(i):
                following -= w[j] * p[i - j]
            moved, w[i] = max(moved, abs(following - w[i])), following
        if moved < 1e-14:
            return out
    for i in range(out.size):
        out.flat[i] = np.nan
    return out


@compiled
def elementary_weights(made):
    """Of the recurrence's last stage, on the trees of order 1 to 4: •, [•], [••], [[•]], [•••], [•[•]], [[••]], [[[•]]]."""
    before, k, f = np.zeros(8), np.zeros(8), np.zeros(8)
    for j in range(made.shape[1]):
        f[0], f[1], f[2], f[3] = 1.0, k[0], k[0] * k[0], k[1]
        f[4], f[5], f[6], f[7] = k[0] * k[0] * k[0], k[0] * k[1], k[2], k[3]
        for i in range(8):
            following = made[0, j] * f[i] + made[1, j] * k[i] - made[2, j] * before[i]
            before[i], k[i] = k[i], following
    return k


def finishing(p: Array) -> Array:
    """The four stages that follow a stage of elementary weights p (8,): entries A to STAGE of a row.

    Composing two B-series gives what each tree still needs; a method of four stages with c2 and c3 given then solves all
    eight conditions in closed form. The error estimate is the combination of its rates and of the whole step before it that
    vanishes to order 3: no rate at the step's end, which would multiply what is left of the stiff by z.
    """
    p1, p2, p31, p32, p41, p42, p43, p44 = p
    w1 = 1 - p1
    w2 = 1 / 2 - p2 - p1 * w1
    w31 = 1 / 3 - p31 - 2 * p1 * w2 - p1**2 * w1
    w32 = 1 / 6 - p32 - p2 * w1 - p1 * w2
    w41 = 1 / 4 - p41 - 3 * p1 * w31 - 3 * p1**2 * w2 - p1**3 * w1
    w42 = 1 / 8 - p42 - p1 * p2 * w1 - p1**2 * w2 - p1 * w32 - p2 * w2 - p1 * w31
    w43 = 1 / 12 - p43 - p31 * w1 - p1**2 * w2 - 2 * p1 * w32
    w44 = 1 / 24 - p44 - p32 * w1 - p2 * w2 - p1 * w32
    c2, c3 = NODES[0] * w1, NODES[1] * w1
    rest = w43 - c2 * w32
    c4 = (w42 * rest - w44 * (w41 - c2 * w31)) / (w44 * (c2 * w2 - w31) + w32 * rest)
    c = np.array([0.0, c2, c3, c4])
    b2, b3, b4 = np.linalg.solve([c[1:], c[1:] ** 2, c[1:] ** 3], [w2, w31, w41])
    u3, u4 = np.linalg.solve([[b3, b4], [b3 * c3, b4 * c4]], [w32, w42])  # Σ_j a_ij c_j
    a32, a43 = u3 / c2, w44 / (b4 * u3)
    a42 = (u4 - a43 * c3) / c2
    a = np.array([[0, 0, 0, 0], [c2, 0, 0, 0], [c3 - a32, a32, 0, 0], [c4 - a42 - a43, a42, a43, 0]])
    C, U = p1 + c, p2 + p1 * c + a @ c  # of the whole method's stages: Σ_j a_ij and Σ_jk a_ij a_jk
    e = np.linalg.solve([np.ones(4), C, C**2, U], [p1, p2, p31, p32])
    V, X = p31 + a @ C**2, p32 + a @ U
    size = np.linalg.norm([(e @ C**3 - p41) / 6, e @ (C * U) - p42, (e @ V - p43) / 2, e @ X - p44])
    b, scale = np.array([w1 - b2 - b3 - b4, b2, b3, b4]), ESTIMATE / size
    return np.array([*a[1, :1], *a[2, :2], *a[3, :3], *b, *(scale * e), scale], float)


@cache
def table() -> Array:
    """(len(SIZES), STAGE + 3 (max(SIZES) - 4)): a row for each number of stages, zeros behind its end."""
    out = np.zeros((len(SIZES), STAGE + 3 * (SIZES[-1] - 4)))
    for row, s in zip(out, SIZES, strict=True):
        row[LENGTH] = REACH * (s * s - 7)
        made = recurrence(s - 4, row[LENGTH])
        row[A:STAGE] = finishing(elementary_weights(made))
        row[STAGE : STAGE + made.size] = made.T.ravel()
    return out
