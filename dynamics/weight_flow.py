"""The weights of stacked Settings as one system of the solver, and how far their errors are let grow. Integrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics import dips, matrix_setting
from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.solver import ATOL, Solution, SolverError, integrate
from dynamics.stacked import Stacked

TINY = 1e-300  # below any norm: keeps the logarithm of an exact 0 finite
SMALL = 1e-2  # ‖W(0)‖ below which atol falls in proportion: the levels of both times are shares of it

Start = tuple[Array, Array, Array]  # W (B, k, d), P (B, k, k), V (B, k, d)


@dataclass(frozen=True)
class Packing:
    """(W, P, V) <-> one flat vector a member."""

    shape: tuple[int, int]

    def join(self, W: Array, P: Array, V: Array) -> Array:
        return np.concatenate([X.reshape(len(X), -1) for X in (W, P, V)], axis=1)

    def split(self, y: Array) -> tuple[Array, Array, Array]:
        k, d = self.shape
        lead, i, j = y.shape[:-1], k * d, k * d + k * k  # slices: np.split costs as much as a field of small matrices
        return y[..., :i].reshape(*lead, k, d), y[..., i:j].reshape(*lead, k, k), y[..., j:].reshape(*lead, k, d)


def integrated(
    settings: Sequence[Setting], problem: Stacked, start: Start, t: Array, levels: Sequence[float]
) -> tuple[Solution, dict[str, Any]]:
    """(Solution with y = [W | P | V] (T, B, n) and the passages of ‖W‖ / ‖W(0)‖ through the levels, facts of its making).

    Weights that fell below what atol resolves and grew again (`dynamics.dips`) are integrated once more, by rtol alone, which a
    fact, "dip", says. Raises SolverError where that cannot be done, or their digits are lost to rounding.
    """
    pack, moving = Packing(start[0].shape[1:]), len(t) > 1
    exponents = [dips.growth(problem, i, s) if moving else 0.0 for i, s in enumerate(settings)]
    may = [i for i, exponent in enumerate(exponents) if exponent]
    if not may:
        return _integrated(settings, problem, start, t, levels, _tolerance(start[0]))
    every = np.unique(np.concatenate([t, *(dips.looks(problem, i, start[1][i], t[-1]) for i in may)]))
    atol, shown = _tolerance(start[0]), np.searchsorted(every, t)
    out, facts = _integrated(settings, problem, start, every, levels, atol)
    if any(dips.lost(W, V, atol) for W, _, V in (pack.split(out.y[:, i]) for i in may)):
        lost = "a weight falls below what an absolute tolerance resolves, and grows again"
        try:
            out, facts = _integrated(settings, problem, start, every, levels, dips.FOLLOWED)
        except SolverError as error:
            raise SolverError(f"{lost}; followed by the relative one alone, {error}") from None
        if any(dips.blurred(*pack.split(out.y[:, i]), exponents[i]) for i in may):
            raise SolverError(
                f"{lost}, and its digits are lost to rounding: give more weight decay, a smaller network.p0 or a smaller t_end "
                "(dynamics.phases follows one mode)"
            )
        facts["dip"] = f"{lost}: integrated by the relative one alone"
    return Solution(out.y[shown], out.event_times, out.method, out.evaluations), facts


def _integrated(
    settings: Sequence[Setting], problem: Stacked, start: Start, t: Array, levels: Sequence[float], atol: float
) -> tuple[Solution, dict[str, Any]]:
    """`integrated` with this atol, whatever becomes of the weights."""
    W0, P0, V0 = start
    pack = Packing(W0.shape[1:])
    if len(settings) == 1 and matrix_setting.covers(settings[0], W0.shape[-1]):
        return matrix_setting.solve(settings[0], problem.A[0], problem.C[0], W0[0], P0[0], V0[0], t, levels, atol)

    def field(_: float, y: Array) -> Array:
        return pack.join(*problem.velocity(*pack.split(y)))

    size0 = np.log(np.maximum(np.linalg.norm(W0, axis=(1, 2)), TINY))

    def grown(y: Array) -> Array:
        """log(‖W‖ / ‖W(0)‖) (B,): near a straight line in t, so that its roots are found to many digits."""
        return np.log(np.maximum(np.linalg.norm(pack.split(y)[0], axis=(1, 2)), TINY)) - size0

    events = tuple(lambda y, level=level: grown(y) - np.log(level) for level in levels)
    out = integrate(field, pack.join(W0, P0, V0), t, atol=atol, events=events)
    return out, {"method": out.method, "evaluations": out.evaluations}


def _tolerance(W0: Array) -> float:
    """atol for starts W0 (B, k, d): ATOL, or less in proportion to the smallest that is not 0."""
    sizes = np.linalg.norm(W0, axis=(1, 2))
    return ATOL * min(1.0, float(sizes.min(initial=SMALL, where=sizes > 0)) / SMALL)
