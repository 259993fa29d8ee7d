"""The weights of stacked Settings as one system of the solver, and how far their errors are let grow. Integrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynamics import dips, matrix_setting
from dynamics.matrix_setting import Start
from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.solver import ATOL, SolverError, integrate
from dynamics.stacked import Stacked

TINY = 1e-300  # below any norm: keeps the logarithm of an exact 0 finite
SMALL = 1e-2  # ‖W(0)‖ below which atol falls in proportion: the levels of both times are shares of it


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


@dataclass(frozen=True)
class Path:
    """One member's weights y = [W | P | V] (T, n), the passages of ‖W‖ / ‖W(0)‖ through the levels (None: never), facts of its making."""

    y: Array
    passages: tuple[float | None, ...]
    facts: dict[str, Any]


def integrated(
    settings: Sequence[Setting], problem: Stacked, start: Start, t: Array, levels: Sequence[float]
) -> list[Path]:
    """The path of every member over t.

    Weights that fell below what atol resolves, and grew again (`dynamics.dips`) or have an optimal predictor, a ratio that needs
    their digits, are integrated once more, by rtol alone, which a fact, "dip", says. Raises SolverError where that cannot be done,
    or their digits are lost to rounding.
    """
    moving, atol = len(t) > 1, _tolerance(start[0])
    if problem.optimal:
        paths = _integrated(settings, problem, start, t, levels, atol)
        return [
            _faint(s, _own(start, i), t, levels) if dips.faint(path.y[:, : start[0][i].size], atol) else path
            for i, (s, path) in enumerate(zip(settings, paths, strict=True))
        ]
    exponents = [dips.growth(problem, i, s) if moving else 0.0 for i, s in enumerate(settings)]
    may = [i for i, exponent in enumerate(exponents) if exponent]
    if not may:
        return _integrated(settings, problem, start, t, levels, atol)
    every = np.unique(np.concatenate([t, dips.looks([dips.end(problem, i, start[1][i], t[-1]) for i in may])]))
    paths, pack = _integrated(settings, problem, start, every, levels, atol), Packing(start[0].shape[1:])
    for i in may:
        W, _, V = pack.split(paths[i].y)
        if dips.lost(W, V, atol):
            paths[i] = _followed(settings[i], _own(start, i), every, levels, exponents[i])
    shown = np.searchsorted(every, t)
    return [replace(path, y=path.y[shown]) for path in paths]


def _followed(setting: Setting, start: Start, t: Array, levels: Sequence[float], exponent: float) -> Path:
    """A member whose weights dip and may grow again by e^exponent, by rtol alone."""
    lost = "a weight falls below what an absolute tolerance resolves, and grows again"
    path = _by_rtol_alone(setting, start, t, levels, lost)
    if dips.blurred(*Packing(start[0].shape[1:]).split(path.y), exponent):
        raise SolverError(
            f"{lost}, and its digits are lost to rounding: give more weight decay, a smaller network.p0 or a smaller t_end "
            "(dynamics.phases follows one mode)"
        )
    return path


def _faint(setting: Setting, start: Start, t: Array, levels: Sequence[float]) -> Path:
    """A member whose optimal predictor needs digits of W where it is small, by rtol alone."""
    lost = "W falls below what an absolute tolerance resolves, and an optimal predictor needs its digits"
    path = _by_rtol_alone(setting, start, t, levels, lost)
    if dips.faint(path.y[:, : start[0].size], dips.FOLLOWED):
        raise SolverError(f"{lost}, which leave the range of numbers: give less weight decay or a smaller t_end")
    return path


def _by_rtol_alone(setting: Setting, start: Start, t: Array, levels: Sequence[float], lost: str) -> Path:
    """A member by rtol alone; `lost` says why, in its fact "dip" and where that fails."""
    try:
        path = _integrated([setting], Stacked.of([setting]), start, t, levels, dips.FOLLOWED)[0]
    except SolverError as error:
        raise SolverError(f"{lost}; followed by the relative one alone, {error}") from None
    return replace(path, facts=path.facts | {"dip": f"{lost}: integrated by the relative one alone"})


def _integrated(
    settings: Sequence[Setting], problem: Stacked, start: Start, t: Array, levels: Sequence[float], atol: float
) -> list[Path]:
    """`integrated` with this atol, whatever becomes of the weights."""
    W0, P0, V0 = start
    pack = Packing(W0.shape[1:])
    if matrix_setting.covers(settings, W0.shape[-1]):
        solved = matrix_setting.solve(problem, start, t, levels, atol)
        return [Path(*each) for each in solved]

    def field(_: float, y: Array) -> Array:
        return pack.join(*problem.velocity(*pack.split(y)))

    size0 = np.log(np.maximum(np.linalg.norm(W0, axis=(1, 2)), TINY))

    def grown(y: Array) -> Array:
        """log(‖W‖ / ‖W(0)‖) (B,): near a straight line in t, so that its roots are found to many digits."""
        return np.log(np.maximum(np.linalg.norm(pack.split(y)[0], axis=(1, 2)), TINY)) - size0

    events = tuple(lambda y, level=level: grown(y) - np.log(level) for level in levels)
    try:
        out = integrate(field, pack.join(W0, P0, V0), t, atol=atol, events=events)
    except SolverError:
        if len(settings) == 1:
            raise
        return [_one_of_many(settings, i, start, t, levels, atol) for i in range(len(settings))]
    facts = {"method": out.method, "evaluations": out.evaluations}
    return [Path(out.y[:, i], tuple(e[i] for e in out.event_times), dict(facts)) for i in range(len(W0))]


def _one_of_many(
    settings: Sequence[Setting], i: int, start: Start, t: Array, levels: Sequence[float], atol: float
) -> Path:
    """Member i by itself: what is too stiff for all together, in steps that suit every one, may be mild for each."""
    try:
        return _integrated(settings[i : i + 1], Stacked.of(settings[i : i + 1]), _own(start, i), t, levels, atol)[0]
    except SolverError as error:
        raise SolverError(f"member {i} of {len(settings)}: {error}") from None


def _own(start: Start, i: int) -> Start:
    W, P, V = (X[i : i + 1] for X in start)
    return W, P, V


def _tolerance(W0: Array) -> float:
    """atol for starts W0 (B, k, d): ATOL, or less in proportion to the smallest that is not 0."""
    sizes = np.linalg.norm(W0, axis=(1, 2))
    return ATOL * min(1.0, float(sizes.min(initial=SMALL, where=sizes > 0)) / SMALL)
