"""Many small initial value problems at once: one field, thousands to millions of members, compiled. Integrated.

    y' = field(y_1, ..., y_n, q_1, ..., q_m),  n few: the states of one mode and its parameters

A new field is compiled first: for three states in seconds, for a dozen in some tens of them; later runs find it on disk.

Every member keeps its own step, error control and clock, so the result of one never depends on who stands beside it.
Where explicit steps do, Taylor's method of degree 9 if the field is a rational function, with not too many products, and
Verner's of order 7 if not; RODAS with the Jacobian for a member whose step stability, not accuracy, limits. The field is a
readable function of scalars, such as `modes.field`; a new one gets the same speed as it is.
`dynamics.solver` is for one large system, or for fields of arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics import lanes
from dynamics.columns import Columns, Shape, columns, members, reals
from dynamics.compiled import FieldError, Function, addresses, driver, jacobian_kind
from dynamics.ensemble_input import check_jacobian, check_numbers, count_answers, ends_of, halts, shape_of
from dynamics.run import Array

RTOL = 1e-8
ATOL = 1e-30  # a mode may decay by thirty orders before its relative digits stop counting
BLOCK = 16384  # members gathered at a time: their columns fit the second-level cache
MAX_TRIES = 100_000  # steps tried by one member; a mild member takes tens

MOST_TRIES = 2**31 - 1  # that can be counted: more ask for no limit

STATUS = (
    "reached its end",
    "stopped at a terminal event",
    "left the finite numbers: check its start, or stop it by an event before it blows up",
    "needed a step below rounding, as just before a blow-up (stop it by an event, or shorten t_end) or where a velocity jumps "
    "while a state is 0 (raise atol), or where rates or times lie beyond 1e±30 (choose other units)",
    "tried more steps than max_tries: raise it, loosen rtol, or shorten t_end; or choose other units, where rates or times lie "
    "beyond 1e±30",
)


@dataclass(frozen=True)
class Ensemble:
    """What became of each member; arrays lead with the members' shape, that of all columns broadcast together.

    y (*shape, n) state at t (*shape): the end asked for, or where the member stopped. at (T, *shape, n): states at the
    times asked for, NaN beyond where a member stopped. event_times (*shape, E): the first zero of each event, NaN:
    never. status (*shape), an index into STATUS; stiff: finished by RODAS; steps accepted and tries, by both methods.
    """

    y: Array
    t: Array
    at: Array
    event_times: Array
    status: NDArray[Any]
    stiff: NDArray[Any]
    steps: NDArray[Any]
    tries: NDArray[Any]

    @property
    def ok(self) -> NDArray[Any]:
        """True where a member reached its end or a terminal event."""
        return self.status <= lanes.STOPPED

    def failures(self) -> list[str]:
        """A sentence a way of failing: how many members, the first of them, the remedy. Empty if all is well."""
        out = []
        for code in range(lanes.STOPPED + 1, len(STATUS)):
            where = np.argwhere(self.status == code)
            if len(where):
                first = tuple(int(i) for i in where[0])
                out.append(f"{len(where)} of {self.status.size} members (first: {first}) {STATUS[code]}")
        return out


def integrate_many(
    field: Function,
    y0: Sequence[ArrayLike] | Array,
    parameters: Sequence[ArrayLike] | Array = (),
    t_end: ArrayLike | None = None,
    *,
    times: ArrayLike | None = None,
    events: Function | None = None,
    stop: Sequence[bool] | None = None,
    jacobian: Function | None = None,
    rtol: float = RTOL,
    atol: float = ATOL,
    method: str = "auto",
    threads: int = 1,
    max_tries: int = MAX_TRIES,
    progress: Callable[[int], Any] | None = None,
) -> Ensemble:
    """Integrate every member from t = 0 to t_end, or through `times` (T,), increasing, to the last of them.

    y0 and parameters: n and m columns, one for each argument of `field`, each a scalar or an array; all are broadcast
    together and with t_end. field(*y, *q) returns the n velocities; it does not see t (make t a state with t' = 1). What it reads
    besides (globals, closures, defaults) is compiled in: each new value of it costs a compilation, a parameter's none.
    events(*y, *q) returns a tuple of E numbers, whose first sign changes are found by root finding within the step
    (two within one step pass unseen); one that is 0 at the start counts there; stop (E,) says which end a member. jacobian(*y, *q): n rows of ∂f_i/∂y_j for the
    stiff method, held against the field at a few states; without it complex steps are taken, or differences where they do not pass (`dynamics.analytic`). method: "auto", "explicit"
    or "stiff". progress is called with the number of members done.

    Each member's local error, as its method estimates it, is held below rtol max(|y|, |y_new|) + atol (Taylor's method: h |y'|
    for |y_new|), root mean square over its n states. Taylor's method takes ninth powers of rates and times: where these lie
    beyond 1e±30, a member fails. Failures are said member by member in `status`, never raised. Raises
    FieldError, a ValueError, for bad input, and for a function that raises by itself.
    """
    states, q = columns(y0, "y0"), columns(parameters, "parameters")
    n, m = len(states), len(q)
    grid = np.empty(0) if times is None else np.ascontiguousarray(reals(times, "times"))
    ends = ends_of(t_end, times, grid)
    shape = shape_of(states, q, ends)
    check_numbers(rtol, atol, method, threads, max_tries)
    first = states.first() + q.first()
    count_answers(field, first, n, "field", f"{n} states and {m} parameters")
    e = 0 if events is None else count_answers(events, first, None, "events", "the states and parameters of the field")
    halt = halts(stop, e)
    if jacobian is not None:
        check_jacobian(field, jacobian, first, n)
    limits = (
        (atol, rtol, min(max_tries, MOST_TRIES), np.inf if method == "explicit" else lanes.STIFF_COUNT),
        lanes.ACCEPT,
    )
    work = _Work(field, states, q, ends, shape, events, e, jacobian, method, np.array(limits, dtype=float), grid, halt)
    size = math.prod(shape)
    out = _unsolved(size, len(grid), n, e)
    spans = [(low, min(low + BLOCK, size)) for low in range(0, size, BLOCK)]
    solve = lambda span: work.block(out, *span)  # noqa: E731
    alone = threads == 1 or len(spans) <= 1  # starting threads takes longer than some hundred members
    if not alone:
        work.prepare()
    with nullcontext() if alone else ThreadPoolExecutor(threads) as pool:
        for low, high in pool.map(solve, spans) if pool else map(solve, spans):
            if progress:
                progress(high - low)
    return out if shape == (size,) else _shaped(out, shape)


def _unsolved(size: int, times: int, n: int, e: int) -> Ensemble:
    """Members in a row, none of them begun."""
    at, when = np.empty((times, size, n)), np.empty((size, e))
    at.fill(np.nan)
    when.fill(np.nan)
    counts = np.zeros(size, np.int32), np.zeros(size, np.int32)
    return Ensemble(
        np.empty((size, n)), np.zeros(size), at, when, np.zeros(size, np.int8), np.zeros(size, bool), *counts
    )


def _shaped(row: Ensemble, shape: Shape) -> Ensemble:
    """The same members in this shape."""
    n, e = row.y.shape[-1], row.event_times.shape[-1]
    return Ensemble(
        row.y.reshape(*shape, n), row.t.reshape(shape), row.at.reshape(len(row.at), *shape, n),
        row.event_times.reshape(*shape, e), *(x.reshape(shape) for x in (row.status, row.stiff, row.steps, row.tries)),
    )  # fmt: skip


def joined(first: NDArray[Any], one: Ensemble, two: Ensemble) -> Ensemble:
    """Members of two ensembles without output times as one of the shape of `first`, true where the first's stand, in order."""
    out = _shaped(_unsolved(first.size, 0, one.y.shape[-1], one.event_times.shape[-1]), first.shape)
    for name in ("y", "t", "event_times", "status", "stiff", "steps", "tries"):
        whole = getattr(out, name)
        whole[first], whole[~first] = getattr(one, name), getattr(two, name)
    return out


@dataclass(frozen=True)
class _Work:
    """What all blocks of members share."""

    field: Function
    states: Columns
    parameters: Columns
    ends: Array
    shape: Shape
    events: Function | None
    e: int
    jacobian: Function | None
    method: str
    limits: Array  # of `lane_driver.drive`
    grid: Array
    stop: NDArray[Any]

    def kernels(self, method: str) -> tuple[tuple[int, int, int], int]:
        """`addresses` of "explicit" or "stiff"."""
        n, m, both = len(self.states), len(self.parameters), (self.events, self.e)
        if method == "explicit":
            return addresses("explicit", self.field, n, m, *both, self.e + len(self.grid) > 0)
        jacobian = self.jacobian or jacobian_kind(self.field, n, m)
        try:
            return addresses("stiff", self.field, n, m, *both, jacobian)
        except FieldError:
            if jacobian != "complex":
                raise
            return addresses("stiff", self.field, n, m, *both, "differences")

    def prepare(self) -> None:
        """Compile before the threads start, so that they do not compile the same thing twice."""
        driver()
        self.kernels("stiff" if self.method == "stiff" else "explicit")

    def block(self, out: Ensemble, low: int, high: int) -> tuple[int, int]:
        """Integrate members low to high into out; returns the two."""
        part = slice(low, high)
        y, at, status, todo = out.y[part], out.at[:, part], out.status[part], np.arange(high - low)
        y[:] = self.states.block(self.shape, part)
        q, end = self.parameters.block(self.shape, part), np.empty(high - low)
        end[:] = members(self.ends, self.shape, part)
        if len(self.grid) and self.grid[0] == 0.0:
            at[0] = y
        for method in ("stiff",) if self.method == "stiff" else ("explicit", "stiff"):
            kernels, rows = self.kernels(method)
            drive, space = driver(), lanes.workspace(rows)
            try:
                stiff = drive(
                    *kernels, *space, todo, y, out.t[part], q, end, self.grid, at, self.stop,
                    out.event_times[part], status, out.steps[part], out.tries[part], self.limits,
                )  # fmt: skip
            except Exception as error:
                raise FieldError(
                    f"the field, its events or its Jacobian raise {type(error).__name__} ({error}) for some member, which ends "
                    "all of them: return math.nan there instead"
                ) from None
            if not stiff:
                break
            todo = np.flatnonzero(status == lanes.STIFFENED)
            out.stiff[low + todo] = True
        if self.method == "stiff":
            out.stiff[part] = True
        return low, high
