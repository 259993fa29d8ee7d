"""RKL4's coefficients against what they are made for: order 4 in every tree, a bounded R on all of [-l, 0], a blind estimate.

Each row is read as a plain Runge-Kutta method, h weights of every stage on every rate; nothing here knows how it was made.
"""

from __future__ import annotations

import numpy as np
import pytest

from dynamics.stabilised_tableau import ERROR, LENGTH, SIZES, STAGE, A, B, recurrence, table

ROUNDING = 1e-11  # s² machine precisions for the longest recurrence, 185 stages: 7.6e-12
# over the root: Σ b_i times these products of stage sums, and what each must be (Hairer, Nørsett & Wanner I, II.2)
TREES = {
    "•": (lambda a, c: np.ones(len(c)), 1),
    "[•]": (lambda a, c: c, 1 / 2),
    "[••]": (lambda a, c: c**2, 1 / 3),
    "[[•]]": (lambda a, c: a @ c, 1 / 6),
    "[•••]": (lambda a, c: c**3, 1 / 4),
    "[•[•]]": (lambda a, c: c * (a @ c), 1 / 8),
    "[[••]]": (lambda a, c: a @ c**2, 1 / 12),
    "[[[•]]]": (lambda a, c: a @ a @ c, 1 / 24),
}


def butcher(row: np.ndarray, s: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a, b, e): the stages K_0 .. K_{s-5} of the recurrence, then the finishing ones, in terms of the rates of all;
    y_new - y and the error estimate likewise."""
    a, m = np.zeros((s, s)), s - 4
    for j, (mu, nu, kappa) in enumerate(row[STAGE : STAGE + 3 * m].reshape(m, 3)):
        a[j + 1] = nu * a[j] - (kappa * a[j - 1] if j else 0.0)
        a[j + 1, j] += mu
    parts, first = [], A
    for stage in range(1, 4):
        parts.append(row[first : first + stage])
        first += stage
    for i, part in enumerate(parts, start=1):
        a[m + i] = a[m]
        a[m + i, m : m + i] += part
    b, e = a[m].copy(), -row[ERROR + 4] * a[m]
    b[m:] += row[B:ERROR]
    e[m:] += row[ERROR : ERROR + 4]
    return a, b, e


def stability(row: np.ndarray, s: int, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R(z), E(z)): what a step and its estimate make of y' = lambda y, y = 1."""
    before, k = np.zeros_like(z), np.ones_like(z)
    for mu, nu, kappa in row[STAGE : STAGE + 3 * (s - 4)].reshape(-1, 3):
        before, k = k, (mu * z + nu) * k - kappa * before
    stages, first = [k], A
    for count in (1, 2, 3, 4):
        weights = row[first : first + count]
        stages.append(k + z * sum(w * g for w, g in zip(weights, stages, strict=True)))
        first += count
    estimate = z * sum(w * g for w, g in zip(row[ERROR : ERROR + 4], stages[:4], strict=True)) + row[ERROR + 4] * (
        1 - k
    )
    return stages[4], estimate


@pytest.mark.parametrize("s", SIZES)
def test_order_four_in_every_tree_and_an_estimate_of_order_three(s: int) -> None:
    row = table()[SIZES.index(s)]
    a, b, e = butcher(row, s)
    assert (np.abs(a[np.triu_indices(s)]) == 0).all()  # explicit
    assert np.abs(row[A:ERROR]).max() < 9  # as said beside NODES: rounding grows by no more than that
    c = a.sum(1)
    found = {name: (b @ tree(a, c), e @ tree(a, c), want) for name, (tree, want) in TREES.items()}
    for i, (name, (got, missed, want)) in enumerate(found.items()):
        assert abs(got - want) < ROUNDING, name
        assert (abs(missed) < ROUNDING) == (i < 4), name  # orders 1 to 3 unseen, order 4 seen in every tree
    wrong = b.copy()
    wrong[-1] += 1e-6
    assert all(
        abs(wrong @ tree(a, c) - want) > 10 * ROUNDING for tree, want in TREES.values()
    )  # 1e-6 times sums > 1e-3


@pytest.mark.parametrize("s", SIZES)
def test_what_is_stiff_is_damped_and_not_multiplied(s: int) -> None:
    row = table()[SIZES.index(s)]
    l, scale = row[LENGTH], row[ERROR + 4]
    z = -l * np.linspace(0, 1, 50 * s)  # 50 points a swing
    R, E = (np.abs(x) for x in stability(row, s, z))
    assert R.max() <= 1 + ROUNDING and R[z < -3.5].max(initial=0) < 0.95  # e^z is past its first descent at -3.5
    assert E.max() < 3 * scale  # of order scale where stiff; a rate at the end of the step would give l times that
    assert np.abs(stability(row, s, np.array([-1.05 * l]))[0]) > 1  # l is not an understatement
    if s >= 8:  # and off the axis, further than with Chebyshev.s weight, at 0.35 √l
        x, y = np.meshgrid(-l * np.linspace(0.25, 0.65, 40), 0.45 * np.sqrt(l) * np.linspace(-1, 1, 21))
        assert np.abs(stability(row, s, x + 1j * y)[0]).max() <= 1


def test_an_interval_without_a_method_is_told() -> None:
    assert np.isnan(recurrence(16, 0.1 * 20**2)).all()  # w and P move on for ever
    assert np.isfinite(recurrence(16, 0.26 * (20**2 - 7))).all()
