"""Phases of one mode: whether a start ends in collapse or at p+, and when. By roots and proven basins, integrated.

Everything is done in the dimensionless variables p = (c/a) x, √alpha_p w = (c/a) y, √alpha_p v = (c/a) z,
t = (a/c²) θ, in which only h = eta a / c² and b = beta a / c² are left (eta_p = eta):

    x' = y (z - x y) - h x      y' = x (z - x y) - h y      z' = b (y - z)

A label is never read off at a finite time: each member is integrated until it is inside a set that provably lies in
one basin (`dynamics.phase_sets`). Where y all but vanishes on the way, its logarithm is integrated. Without decay (online
target) D = y² - x² is conserved and the end follows from x and D alone. Source: Tian et al. 2021, section 3; the sets are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics import phase_sets
from dynamics.columns import reals
from dynamics.ensemble import Ensemble, FieldError, integrate_many, joined
from dynamics.modes import fixed_points, parabola_time
from dynamics.phase_sets import EMA, ONLINE, Flow
from dynamics.run import Array

COLLAPSE, SURVIVAL, UNDECIDED = 0, 1, 2
LEVEL = 1e-3  # of c/a: a weight this much smaller than a healthy one has collapsed, once it is sure to stay
RTOL = 1e-8
HORIZON = 1e4  # of the slowest time constants, see `_horizon`
LARGEST = 1e60  # of a dimensionless number: its fourth powers, in the field, are still finite
FAINT = 1e-20  # of y: ten orders above the `ATOL` below which an ensemble keeps no digits
THRESHOLD = 1e-3  # √|1 - 4h| below which the horizon grows no more: |1 - 4h| = 1e-12 is still decided there

Columns = Sequence[Any]  # arrays and numbers


@dataclass(frozen=True)
class Phases:
    """end (*shape): COLLAPSE, SURVIVAL or UNDECIDED. time (*shape), in units of t: of collapse, from which on the start
    is sure to collapse and √alpha_p |w| < level c/a; or from which on it is sure to survive; NaN where undecided.

    UNDECIDED: the integration failed (run.failures() says why), or it reached the horizon, 1e4 of its slowest time
    constants, in neither set: the start lies on the boundary, or eta on the threshold c²/4a, to within the tolerance."""

    end: NDArray[Any]
    time: Array
    run: Ensemble


def classify(
    p0: ArrayLike,
    w0: ArrayLike,
    *,
    a: ArrayLike = 1.0,
    c: ArrayLike = 1.0,
    alpha_p: ArrayLike = 1.0,
    eta: ArrayLike = 0.0,
    beta: ArrayLike | None = None,
    tau0: ArrayLike = 1.0,
    level: float = LEVEL,
    rtol: float = RTOL,
    threads: int = 1,
    progress: Callable[[int], Any] | None = None,
) -> Phases:
    """The phase of every start (p0, w0, v0 = tau0 w0); all arguments broadcast together. eta_p = eta.

    beta: the EMA rate per unit t; None: the target is the online network (tau0 has no say). Raises FieldError, a
    ValueError, for parameters that are not finite or not of the signs below, and for an EMA target without decay.
    """
    given = {"p0": p0, "w0": w0, "a": a, "c": c, "alpha_p": alpha_p, "eta": eta, "tau0": tau0, "level": level}
    columns = _checked(given if beta is None else given | {"beta": beta})
    p0, w0, a, c, alpha_p, eta, tau0, _ = (columns[name] for name in given)
    with np.errstate(all="ignore"):  # what leaves the range of numbers is refused below
        x, y, h = a / c * p0, a / c * np.sqrt(alpha_p) * w0, eta * a / c**2
        b = columns.get("beta", eta) * a / c**2
    if not all((np.abs(value) < LARGEST).all() for value in (x, y, h, b, tau0)):
        raise FieldError(
            f"a p0/c, a √alpha_p w0/c, tau0 and rates times a/c² must stay below {LARGEST:g}: choose other units"
        )
    if beta is None:
        flow, states, parameters, slowest = ONLINE, (x, np.abs(y)), (h, level), h
    else:
        flow, states, parameters = EMA, (x, y, tau0 * y), (h, b, level, *phase_sets.survival_form(h, b))
        slowest = np.minimum(h, b)
    inside = np.stack(np.broadcast_arrays(*flow.sets(*states, *parameters)), axis=-1) < 0
    ends = np.where(inside.any(-1), 0.0, _horizon(h, slowest))
    how = {"stop": (True, True), "rtol": rtol, "threads": threads, "progress": progress}
    run = _integrated(flow, states, parameters, ends, _faint(h, *states), how)
    hit = np.where(inside, 0.0, run.event_times)
    end = np.where(np.isfinite(hit[..., 0]), COLLAPSE, np.where(np.isfinite(hit[..., 1]), SURVIVAL, UNDECIDED))
    free = (h == 0) & (end == UNDECIDED)
    time = np.where(end == UNDECIDED, np.nan, a / c**2 * np.where(end == COLLAPSE, hit[..., 0], hit[..., 1]))
    return Phases(np.where(free, _without_decay(x, states[1]), end), time, run)


def _faint(h: Array, x: Array, *others: Array) -> NDArray[Any]:
    """Where y may pass below FAINT and grow again: it falls by e^{(x-1)²/2h} at most while x > 1, and grows only where x > 0."""
    size = reduce(np.hypot, others)  # whose squares do not underflow
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.log(size) - np.maximum(x - 1.0, 0.0) ** 2 / (2.0 * h)
    return (x > 0) & (h > 0) & (size > 0) & (least < math.log(FAINT))


def _integrated(
    flow: Flow, states: Columns, parameters: Columns, ends: Array, faint: NDArray[Any], how: dict[str, Any]
) -> Ensemble:
    """All members, the faint by the logarithm."""
    n, faint = len(states), np.broadcast_to(faint, ends.shape)
    if not faint.any():
        return integrate_many(flow.field, states, parameters, ends, events=flow.sets, **how)
    columns = [np.broadcast_to(column, ends.shape) for column in (*states, *parameters)]
    plain, logs = ([column[group] for column in columns] for group in (~faint, faint))
    one = integrate_many(flow.field, plain[:n], plain[n:], ends[~faint], events=flow.sets, **how)
    two = integrate_many(flow.log_field, flow.to_logs(*logs[:n]), logs[n:], ends[faint], events=flow.log_sets, **how)
    return joined(~faint, one, replace(two, y=np.stack(flow.from_logs(*np.moveaxis(two.y, -1, 0)), axis=-1)))


def _numbers(given: dict[str, Any]) -> dict[str, Array]:
    """The arguments as arrays that broadcast together. Raises FieldError, which names the one to mend."""
    out, shape = {}, ()
    for name, value in given.items():
        out[name] = reals(value, name)
        if not np.isfinite(out[name]).all():
            raise FieldError(f"{name} holds numbers that are not finite: give finite ones")
        try:
            shape = np.broadcast_shapes(shape, out[name].shape)
        except ValueError:
            raise FieldError(
                f"{name} of shape {out[name].shape} does not broadcast with {shape}, the shape of those before it: give "
                "scalars, or arrays of one shape"
            ) from None
    return out


def _checked(given: dict[str, Any]) -> dict[str, Array]:
    """The arguments of `classify` as arrays that broadcast together, of the right signs. Raises FieldError."""
    columns = _numbers(given)
    for name in ("a", "c", "alpha_p", "level"):
        if (columns[name] <= 0).any():
            raise FieldError(f"{name} must be positive: at 0 there is no second phase to tell apart")
    if (columns["eta"] < 0).any():
        raise FieldError("eta must not be negative: weight decay shrinks weights")
    if "beta" in columns and (columns["beta"] <= 0).any():
        raise FieldError("beta must be positive: leave it out for a target equal to the online network")
    if "beta" in columns and (columns["eta"] == 0).any():
        raise FieldError("the phases under an EMA target are fixed points that need weight decay: give eta > 0")
    return columns


def _horizon(h: Array, slowest: Array) -> Array:
    """θ at which to give up: HORIZON / slowest, the least of the rates h and b, and longer by 1/√|1 - 4h| where the fixed points
    are about to meet or have just met. Without decay (h = 0: 1e7) the time alone is at stake, see `_without_decay`."""
    return HORIZON / (np.where(h > 0, slowest, 1e-3) * np.clip(np.sqrt(np.abs(1 - 4 * h)), THRESHOLD, 1.0))


def _without_decay(x: Array, y: Array) -> NDArray[Any]:
    """The end at h = 0, online target: D = y² - x² stays, x' = (x² + D) (1 - x). Exact."""
    D = y * y - x * x
    rest = np.where(D < 0, np.sqrt(np.maximum(-D, 0.0)), 0.0)  # where x would come to rest with y = 0
    survives = (y > 0) & ((D > 0) | ((x > 0) & (rest < 1)))
    return np.where(survives, SURVIVAL, COLLAPSE)


def collapse_time(p0: ArrayLike, a: ArrayLike, c: ArrayLike, eta: ArrayLike, level: float = LEVEL) -> Array:
    """t at which a start p0 > 0 on the invariant parabola, target online, is down to p = level c/a: closed form, exact.

    NaN where the start survives, is below the level from the beginning, or eta = 0.
    """
    p0, a, c, eta = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (p0, a, c, eta)))
    with np.errstate(divide="ignore", invalid="ignore"):
        time = parabola_time(level * c / a, p0, a, c, eta)
        survives = p0 >= fixed_points(a, c, eta).p_minus  # false beyond eta_c, where p- is NaN
    return np.where((eta > 0) & ~survives & (p0 >= level * c / a), time, np.nan)


def bottleneck_time(a: ArrayLike, c: ArrayLike, eta: ArrayLike) -> Array:
    """4 π (a/c²) / √(eta/eta_c - 1), eta_c = c²/4a: the leading term of the collapse time just beyond eta_c."""
    a, c, eta = (np.asarray(v, dtype=float) for v in (a, c, eta))
    return 4 * np.pi * a / c**2 / np.sqrt(4 * a * eta / c**2 - 1)
