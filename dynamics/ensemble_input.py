"""What an ensemble asks of its input, said in one sentence each: columns, times, tolerances, and the field's functions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from dynamics.columns import Columns, Shape
from dynamics.compiled import FieldError, Function
from dynamics.run import Array

AGREE = 1e-4  # a Jacobian against central differences at the first member, relative to its largest entry


def ends_of(t_end: ArrayLike | None, times: ArrayLike | None, grid: Array) -> Array:
    if (t_end is None) == (times is None):
        raise FieldError("give either t_end or times, not both or neither")
    if times is None:
        ends = np.asarray(t_end, dtype=float)
        if not (np.isfinite(ends) & (ends >= 0)).all():
            raise FieldError("t_end must be finite and not negative: to go backwards, negate the field")
        return ends
    if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all() or grid[0] < 0 or (np.diff(grid) <= 0).any():
        raise FieldError("times must be a finite, increasing (T,) array from 0 or later: sort it and drop repeats")
    return grid[-1]


def shape_of(states: Columns, parameters: Columns, ends: Array) -> Shape:
    """The members': of all columns broadcast together, and with their ends."""
    shapes = states.shapes() | parameters.shapes() | {ends.shape}
    shapes.discard(())
    try:
        return np.broadcast_shapes(*shapes) if len(shapes) > 1 else next(iter(shapes), ())
    except ValueError:
        given = ", ".join(str(v.shape) for v in (*states.values, *parameters.values, ends))
        raise FieldError(f"columns of shapes {given} do not broadcast together: give scalars or equal shapes") from None


def check_numbers(rtol: float, atol: float, method: str, threads: int, max_tries: int) -> None:
    if not 1e-14 <= rtol < 1 or not 0 < atol < np.inf:
        raise FieldError(f"rtol = {rtol:g}, atol = {atol:g}: give 1e-14 <= rtol < 1 and a finite atol > 0")
    if method not in ("auto", "explicit", "stiff"):
        raise FieldError(f"method {method!r} is unknown: choose auto, explicit or stiff")
    if threads < 1 or max_tries < 1:
        raise FieldError(f"threads = {threads}, max_tries = {max_tries}: give at least 1 of each")


def count_answers(function: Function, first: Sequence[float], size: int | None, name: str, takes: str) -> int:
    """How many numbers the function returns for the first member's columns; FieldError if that is not `size`."""
    if not _callable_with(function, len(first)):
        raise FieldError(f"{name} cannot be called with {len(first)} numbers: it must take {takes}, in order")
    try:
        answer = function(*first)
        count = len(answer)
    except TypeError:
        raise FieldError(f"{name} must return a tuple of numbers: end its return with a comma if it is one") from None
    except ArithmeticError:
        return size or 1  # Python raises where compiled code says inf: the members will tell
    except Exception as error:
        raise FieldError(f"{name} fails at the first member ({error}): mend it, or its columns") from None
    if size is not None and count != size:
        raise FieldError(f"{name} returns {count} numbers for {size} states: return one velocity a state")
    return count


@cache
def _callable_with(function: Function, count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
        return True
    except TypeError:
        return False


def check_jacobian(field: Function, jacobian: Function, first: Sequence[float], n: int) -> None:
    rows = np.array(jacobian(*first), dtype=float)
    if rows.shape != (n, n):
        raise FieldError(f"jacobian returns shape {rows.shape}: return {n} rows of {n} numbers, row i for velocity i")
    if not _near(rows, _differences(field, first, n)):
        raise FieldError(
            "jacobian disagrees with differences of the field at the first member: mend it or leave it out"
        )


def _differences(field: Function, first: Sequence[float], n: int) -> Array:
    """∂f_i/∂y_j (n, n) by central differences."""
    d = 1e-5 * max(1e-8, *(abs(x) for x in first[:n]))
    columns = []
    for j in range(n):
        up, down = ([x + sign * d * (i == j) for i, x in enumerate(first)] for sign in (1, -1))
        columns.append((np.array(field(*up)) - np.array(field(*down))) / (2 * d))
    return np.array(columns).T


def _near(exact: Array, near: Array) -> bool:
    return bool(np.abs(exact - near).max() <= AGREE * max(1.0, np.abs(near).max()))
