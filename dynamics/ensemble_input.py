"""What an ensemble asks of its input, said in one sentence each: columns, times, tolerances, and the field's functions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.columns import Columns, Shape, reals
from dynamics.compiled import FieldError
from dynamics.fingerprint import plain
from dynamics.helpers import Function, in_python
from dynamics.run import Array
from dynamics.trace import generic

AGREE = 1e-4  # of a Jacobian's entry, relative: constants of five digits pass, a wrong factor, sign or term does not
STEP = 1e-5  # of differences, relative to the states: their own error is its square
FINER = 10.0 ** -np.arange(5)  # times STEP: the steps that are tried
LEAST = float(
    np.finfo(float).tiny
)  # of atol: 1 over a smaller one may be infinite, and that times an error of 0 is no number
NAMED = 4  # shapes in a sentence
ROUNDING = 1e-14  # of a velocity, relative to its terms: a hundred operations of 1.1e-16 each


def ends_of(t_end: ArrayLike | None, times: ArrayLike | None, grid: Array) -> Array:
    """t_end as an array, or the last of the times, which `grid` holds. Raises FieldError."""
    if (t_end is None) == (times is None):
        raise FieldError("give either t_end or times, not both or neither")
    if times is None:
        ends = reals(t_end, "t_end")  # pyright: ignore[reportArgumentType]  None only beside times
        if not (np.isfinite(ends) & (ends >= 0)).all():
            raise FieldError("t_end must be finite and not negative: to go backwards, negate the field")
        return ends
    if grid.ndim != 1 or not len(grid) or not np.isfinite(grid).all() or grid[0] < 0 or (np.diff(grid) <= 0).any():
        raise FieldError("times must be a finite, increasing (T,) array from 0 or later: sort it and drop repeats")
    return grid[-1]


def shape_of(states: Columns, parameters: Columns, ends: Array) -> Shape:
    """The members': of all columns broadcast together, and with their ends."""
    if not len(states):
        raise FieldError("y0 has no columns: give one for each state of the field")
    shapes = states.shapes() | parameters.shapes() | {ends.shape}
    shapes.discard(())
    try:
        return np.broadcast_shapes(*shapes) if len(shapes) > 1 else next(iter(shapes), ())
    except ValueError:
        found = sorted((states.shapes() | parameters.shapes()) - {()})
        given = ", ".join(map(str, found[:NAMED])) + ", ..." * (len(found) > NAMED)
        end = f" and t_end of shape {ends.shape}" if ends.ndim else ""
        raise FieldError(
            f"{len(states)} columns of y0 and {len(parameters)} of parameters of shapes {given}{end} do not broadcast together:"
            " give scalars or equal shapes, one column a state (y0.T where each row is a member)"
        ) from None


def single(x: Any) -> bool:
    """Is it no array of several numbers, or of one in a row?"""
    return getattr(x, "ndim", 0) == 0


def check_numbers(rtol: float, atol: float, method: str, threads: int, max_tries: int) -> None:
    """Raises FieldError unless each can be meant."""
    try:
        good = 1e-14 <= rtol < 1 and LEAST <= atol < np.inf and single(rtol) and single(atol)
    except (TypeError, ValueError):  # no number, or more than one
        good = False
    if not good:
        raise FieldError(f"rtol = {rtol!r}, atol = {atol!r}: give 1e-14 <= rtol < 1 and a finite atol >= {LEAST:.3g}")
    if method not in ("auto", "explicit", "stiff"):
        raise FieldError(f"method {method!r} is unknown: choose auto, explicit or stiff")
    try:
        good = all(single(x) and int(x) == x >= 1 for x in (threads, max_tries))
    except (TypeError, ValueError, OverflowError):  # no number, or an infinite one
        good = False
    if not good:
        raise FieldError(f"threads = {threads!r}, max_tries = {max_tries!r}: give whole numbers, at least 1 of each")


def count_answers(function: Function, first: Sequence[float], size: int | None, name: str, takes: str) -> int:
    """How many numbers the function returns; FieldError if that is not `size`."""
    try:
        answer = _tried(function, first, name, takes)
    except ArithmeticError as error:
        if size is None:
            raise FieldError(f"{name} fails at the first member and elsewhere ({error}): mend it") from None
        return size  # the members will tell
    try:
        count = len(answer)
    except TypeError:
        raise FieldError(f"{name} must return a tuple of numbers: end its return with a comma if it is one") from None
    if size is not None and count != size:
        raise FieldError(f"{name} returns {count} numbers for {size} states: return one velocity a state")
    return count


def halts(stop: Sequence[bool] | None, events: int) -> NDArray[Any]:
    """(events,) whether each ends a member."""
    try:
        out = np.zeros(events, dtype=bool) if stop is None else np.array(stop, dtype=bool)
    except ValueError:
        raise FieldError("stop holds rows of different lengths: give one truth value an event") from None
    if out.shape != (events,):
        raise FieldError(f"stop has shape {out.shape} for {events} events: give one truth value an event")
    return out


@np.errstate(all="ignore")
def check_jacobian(field: Function, jacobian: Function, first: Sequence[float], n: int) -> None:
    """Against differences: at the first member, at other states with its parameters, and with other ones. Raises FieldError.

    The first alone would not tell: it may lie where a wrong term is 0, or at the edge of where the field is a number.
    """
    try:
        shape = reals(_tried(jacobian, first, "jacobian", "the states and parameters of the field"), "jacobian").shape
    except ArithmeticError:
        return
    if shape != (n, n):
        raise FieldError(f"jacobian returns shape {shape}: return {n} rows of {n} numbers, row i for velocity i")
    field, jacobian = in_python(field), in_python(jacobian)
    for place in (first, [*generic(n), *first[n:]], generic(len(first))):
        try:
            given, near, wrong = _disagreement(field, jacobian, place, n)
        except Exception:  # where Python has no numbers there is nothing to compare
            continue
        for i, j in np.argwhere(wrong):
            where = ", ".join(f"{x:.3g}" for x in place)
            raise FieldError(
                f"jacobian disagrees with differences of the field, {given[i, j]:.6g} for {near[i, j]:.6g}, in row {i}, column {j} "
                f"at ({where}): mend it or leave it out"
            )


def _tried(function: Function, first: Sequence[float], name: str, takes: str) -> Any:
    """What a function returns for the first member's columns; for other numbers, where Python raises at those what compiled code
    calls inf or NaN. ArithmeticError where it raises at both."""
    if not isinstance(plain(function), FunctionType):
        raise FieldError(
            f"{name} is of type {type(function).__name__}: write it as a plain function, with def or lambda"
        )
    code = plain(function).__code__
    if code.co_kwonlyargcount or code.co_flags & inspect.CO_VARKEYWORDS:
        raise FieldError(f"{name} takes arguments by keyword alone, behind * or as **: write them in front of it")
    try:
        try:
            return function(*first)
        except (ArithmeticError, ValueError):
            return function(*generic(len(first)))
    except ArithmeticError:
        raise
    except Exception as error:
        if not _callable_with(function, len(first)):
            raise FieldError(
                f"{name} cannot be called with {len(first)} numbers: it must take {takes}, in order"
            ) from None
        raise FieldError(f"{name} fails at the first member ({error}): mend it, or its columns") from None


def _callable_with(function: Function, count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
        return True
    except TypeError:
        return False


def _disagreement(
    field: Function, jacobian: Function, place: Sequence[float], n: int
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """(J_ij as given, ∂f_i/∂y_j by differences, are the two apart?), each (n, n).

    A step that suits one state may be coarse for another: its own size is tried, and the largest state's or 1. All may be coarse
    for a field that changes within less: where none agrees, that step among finer ones decides whose own error is least.
    """
    sizes, given = np.abs(place[:n]), np.array(jacobian(*place), dtype=float)
    best, least, wrong = given, np.full((n, n), np.inf), np.ones((n, n), dtype=bool)
    for finer in FINER:
        for size in (np.full(n, max(sizes.max(), 1.0)), np.where(sizes > 0, sizes, 1.0)):
            near, allowed = _differences(field, place, STEP * finer * size)
            best, least = np.where(allowed < least, near, best), np.fmin(allowed, least)
            if finer == 1.0:
                # where there are no differences, nothing is wrong; where the Jacobian is no number, it is
                wrong &= np.isfinite(near).all() & ~(np.abs(given - near) <= allowed)
        if not wrong.any():
            break
    return given, best, wrong & ~(np.abs(given - best) <= least)


def _differences(field: Function, place: Sequence[float], d: Array) -> tuple[Array, Array]:
    """(∂f_i/∂y_j by central differences, over y_j ± d_j/2, how far from it a right Jacobian may be), each (n, n).

    AGREE, and the differences' own error: what half the step changes, what the two sides differ by, as they do at a kink, and
    rounding of the terms in f_i and of numbers of order 1, as in 1 + y².
    """

    def at(steps: Array) -> Array:
        """(n, n) f_i where y_j is off by its step."""
        moved = ([x + step * (i == j) for i, x in enumerate(place)] for j, step in enumerate(steps.tolist()))
        return np.array([field(*numbers) for numbers in moved], dtype=float).T

    middle, up, down = np.array(field(*place), dtype=float)[:, None], at(d / 2), at(-d / 2)
    near = (up - down) / d
    own = np.abs(near - (at(d) - at(-d)) / (2 * d)) + np.abs(up - 2 * middle + down) / (d / 2)
    terms = 1.0 + np.abs(middle) + (np.abs(near) @ np.abs(place[: len(d)]))[:, None]
    return near, AGREE * np.abs(near) + own + ROUNDING * terms / d
