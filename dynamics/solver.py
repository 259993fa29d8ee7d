"""The solver: scipy's integrators for one state or a batch of states of one shape. Integrated, not exact.

Every failure is said with its remedy: blow-up, stiffness, non-convergence. Events are found by root finding on the
dense output, not read off a grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import OdeSolver, solve_ivp
from scipy.optimize import brentq, minimize_scalar

from dynamics.calm import CalmDOP853
from dynamics.run import Array

RTOL = 1e-10  # the flow rung's own relative tolerance; every law of tolerance is a multiple of it
ATOL = 1e-14  # far below any weight that matters, so that decaying modes keep their digits
BLOW_UP = 1e8  # weights start at order one; a flow of bounded moments that gets here has no finite limit
MAX_EVALUATIONS = 60_000  # a mild run takes a few hundred; reaching this means that stability, not error, sets the step
# a parabola between equal steps comes nearer to 0 than their ends by an eighth of what it changes over the next: REACH is ample.
# And where g is flat at its nearest, this share of a step is 1e-12 of what it bends by in one
REACH, TOUCH = 2.0, 1e-6

Field = Callable[[float, Array], Array]
Event = Callable[[Array], Array]


class SolverError(RuntimeError):
    """The integration did not finish; the message ends with the remedy."""


class _Stiff(Exception):
    pass


class _NoNumber(Exception):
    pass


@dataclass(frozen=True)
class Solution:
    """y (T, B, n) at the times asked for; event_times, per event one a member (None: never); how it was made."""

    y: Array
    event_times: tuple[tuple[float | None, ...], ...]
    method: str
    evaluations: int


def integrate(
    field: Field,
    y0: Array,
    t: Array,
    *,
    rtol: float = RTOL,
    atol: float = ATOL,
    method: str = "auto",
    events: Sequence[Event] = (),
) -> Solution:
    """Integrate dy/dt = field(t, y) for y (B, n) over t (T,), t[0] the start.

    method: "auto" tries DOP853 (`dynamics.calm`) and, if stability starves its step, LSODA; any scipy method name forces it.
    events: functions of y (B, n) that return one number a member (B,); the first zero of each is found as a root of
    the dense output, between the two steps where the sign changes.
    scipy's error norm is a root mean square over all B n entries, which would dilute one bad member by √B; the
    tolerances handed to it are therefore divided by √B, so that each member keeps its own.
    Raises SolverError (blow-up, stiffness, no convergence) and ValueError (bad input).
    """
    if y0.ndim != 2 or not np.isfinite(y0).all():
        raise ValueError(f"y0 must be a finite (B, n) array, got shape {y0.shape}: check the start of the Setting")
    if len(t) == 1:
        return Solution(y0[None].copy(), tuple(_first_zeros(g, lambda _: y0, t) for g in events), "none", 0)
    attempts = (CalmDOP853, "LSODA") if method == "auto" else (method,)
    for attempt in attempts:
        try:
            return _attempt(field, y0, t, rtol, atol, attempt, events)
        except _Stiff:
            continue
    raise SolverError(
        f"{attempts[-1]} needed more than {MAX_EVALUATIONS} evaluations by t = {t[-1]:g}: the system is stiff; "
        "give a smaller t_end or smaller rates (from Python, or method='Radau')"
    )


def _attempt(
    field: Field,
    y0: Array,
    t: Array,
    rtol: float,
    atol: float,
    method: str | type[OdeSolver],
    events: Sequence[Event],
) -> Solution:
    shape, root_b, count = y0.shape, np.sqrt(len(y0)), 0
    name = method if isinstance(method, str) else "DOP853"

    def flat(time: float, y: Array) -> Array:
        nonlocal count
        count += 1
        if count > MAX_EVALUATIONS:
            raise _Stiff
        return field(time, y.reshape(shape)).ravel()

    def blow_up(time: float, y: Array) -> float:
        return BLOW_UP - np.abs(y).max()

    blow_up.terminal = True  # pyright: ignore[reportFunctionMemberAccess]  scipy reads this attribute
    with np.errstate(over="ignore", invalid="ignore"):
        out = solve_ivp(
            flat, (t[0], t[-1]), y0.ravel(), cast(str, method), t_eval=t, events=blow_up, dense_output=bool(events),
            rtol=max(rtol / root_b, 3e-14), atol=atol / root_b,  # 3e-14: scipy takes no rtol below 100 ulp
        )  # fmt: skip
    if len(out.t_events[0]) or not np.isfinite(out.y).all():
        when = out.t_events[0][0] if len(out.t_events[0]) else out.t[-1]
        raise SolverError(
            f"the flow blew up near t = {when:.4g} (a weight passed {BLOW_UP:g}): shorten t_end or start smaller"
        )
    if not out.success:
        raise SolverError(
            f"{name} stopped: {out.message} Give a smaller t_end or smaller rates (from Python, or "
            "a looser rtol, or method='Radau')"
        )
    times = tuple(_first_zeros(g, lambda time: out.sol(time).reshape(shape), out.sol.ts) for g in events)
    return Solution(out.y.T.reshape(len(t), *shape), times, name, count)


def _first_zeros(g: Event, y: Callable[[float], Array], steps: Array) -> tuple[float | None, ...]:
    """Per member, the first root of g(y(t)): bracketed by the integrator's own steps, then found by Brent's method.

    As in `dynamics.lane_driver`: 0 at the start counts there, and what is no number never counts, neither at a step's end nor within.
    As in `dynamics.matrix_passages`, and only there: so does a step from whose ends, on one side of 0, g comes across and goes back.
    """
    with np.errstate(all="ignore"):  # a g that is no number here is of no harm
        values = np.stack([g(y(time)) for time in steps])  # (steps, B)
        before, after = values[:-1], values[1:]
        crossed = ((before < 0) & (after >= 0)) | ((before > 0) & (after <= 0))  # all false of NaN
        suspect = crossed | _may_touch(values)
        out: list[float | None] = []
        for member in range(values.shape[1]):
            own = lambda time, b=member: float(g(y(time))[b])  # noqa: E731
            roots = (
                _root(own, steps[i], steps[i + 1] if crossed[i, member] else _nearest(own, steps[i], steps[i + 1]))
                for i in np.flatnonzero(suspect[:, member])
            )
            at_start = values[0, member] == 0
            out.append(float(steps[0]) if at_start else next((x for x in roots if x is not None), None))
    return tuple(out)


def _may_touch(values: Array) -> NDArray[np.bool_]:
    """Whether g may come to 0 within a step (steps - 1, B) from whose ends it is on one side: one of them is nearer to it than its
    neighbours, and no farther than REACH times what g changes over the next two."""
    size = np.pad(np.abs(values), ((2, 2), (0, 0)), constant_values=np.nan)
    around = np.stack([size[j : j + len(values)] for j in range(5)])  # (5, steps, B), the end itself in the middle
    nearest = np.fmin.reduce(around[1:4]) == around[2]
    near = nearest & (around[2] <= REACH * (np.fmax.reduce(around) - around[2]))
    side = np.sign(values)  # the product of two values may be 0 though neither is
    return np.logical_and(side[:-1] * side[1:] > 0, near[:-1] | near[1:])


def _nearest(g: Callable[[float], float], a: float, b: float) -> float:
    """The time from a to b at which g is nearest to 0 from its side at a, or farthest beyond."""
    side = np.sign(g(a))
    found = minimize_scalar(lambda t: side * g(t), bounds=(a, b), method="bounded", options={"xatol": TOUCH * (b - a)})
    return float(found.x)


def _root(g: Callable[[float], float], a: float, b: float) -> float | None:
    """Of a function of two signs at a and b; None where it has one, or ceases to be a number between them."""

    def number(time: float) -> float:
        value = g(time)
        if np.isnan(value):
            raise _NoNumber
        return value

    try:
        if np.sign(number(a)) == np.sign(number(b)):
            return None
        return float(brentq(number, a, b, xtol=1e-12))  # pyright: ignore[reportArgumentType]
    except _NoNumber:
        return None
