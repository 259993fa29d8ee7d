"""The members of the per-mode ensembles that are timed, and what is true of them.

By scipy, one after another, for as many as time allows; for all by a run of the project at a tolerance far below those that
are timed, once it agrees with scipy's on the members that have one.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks.modes_peers import Array, project
from dynamics import modes

T_END = 20.0
TARGET = 1e-6  # of the true error
TIGHT = 1e-12  # rtol of the run that checks every member
AGREE = 1e-3 * TARGET  # of that run with scipy's: no member's error is then off by more than a thousandth of the target


def draw(case: str, members: int, seed: int = 0) -> tuple[Array, Array]:
    """y0 (M, 3) and q (M, 6): the first members are the same for every M."""
    u = np.random.default_rng(seed).random((members, 7))
    p, w, tau = 0.05 + 0.95 * u[:, 0], 0.05 + 0.95 * u[:, 1], u[:, 2]
    rates = (
        (10 ** (u[:, 4] - 0.5), 0.2 + 1.8 * u[:, 5]) if case == "mild" else (10 ** (2 + u[:, 4]), 10 ** (2 + u[:, 5]))
    )
    eta = 0.1 * u[:, 6]
    return np.stack([p, w, tau * w], 1), np.stack([1 + u[:, 3], np.ones(members), *rates, eta, eta], 1)


def exact(case: str, members: int) -> Array:
    """The reference, by scipy alone."""
    y0, q = draw(case, members)
    method, out = "DOP853" if case == "mild" else "Radau", np.empty((members, 3))
    for i in range(members):
        field = lambda _, y, k=q[i]: modes.field(y[0], y[1], y[2], *k)  # noqa: E731
        out[i] = solve_ivp(field, (0.0, T_END), y0[i], method, rtol=1e-13, atol=1e-20).y[:, -1]
    return out


def errors(y: Array, reference: Array) -> Array:
    """True error of each member that has a reference."""
    near = y[: len(reference)]
    return np.abs(near - reference[: len(near)]).max(1) / np.abs(reference[: len(near)]).max(1)


def tight(case: str, members: int, reference: Array) -> Array:
    """Every member by the project at rtol TIGHT. Raises RuntimeError if it disagrees with the reference on a member of it."""
    y = project(*draw(case, members), T_END, TIGHT)
    worst = errors(y, reference).max()
    if not worst <= AGREE:
        raise RuntimeError(
            f"{case}: at rtol {TIGHT:g} the project is {worst:.1e} from scipy, more than {AGREE:g}: no error can be measured "
            "against it; mend the integration first"
        )
    return y
