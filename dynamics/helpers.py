"""A function with the functions that it calls in a form asked for: compiled into it, or all in plain Python.

numba compiles a call to compiled functions alone, and those keep the values that they read when they were compiled first, in
Python too. So the helpers are made anew from their source, wherever a function may find them: in globals, closure cells,
defaults, tuples, and modules other than those of `fingerprint.FIXED`. The user's own stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CellType, FunctionType, ModuleType
from typing import Any

from dynamics.fingerprint import fixed, names_of, plain

Function = Callable[..., Any]
Wrap = Callable[[Function], Any]
# from a helper to what stands for it, there before it is complete: circles end, and recursion is kept
Made = dict[Any, Any]


def in_python(function: Function) -> Function:
    """The same function without compiled code: it reads the present values."""
    return with_helpers(function, lambda helper: helper)


def with_helpers(function: Function, wrap: Wrap) -> Function:
    """The same function, but the functions that it calls are wrapped; already compiled ones too, from their source."""
    function = plain(function)
    if not isinstance(function, FunctionType):
        return function
    made: Made = {}
    out = _blank(function, wrap, made)
    _fill(out, function, wrap, made)
    return out


def _blank(function: FunctionType, wrap: Wrap, made: Made) -> FunctionType:
    """With nothing but its defaults in place, which numba reads when it wraps."""
    cells = tuple(CellType() for _ in function.__closure__ or ())
    defaults = _fresh(function.__defaults__, names_of(function.__code__), wrap, made)
    return FunctionType(function.__code__, dict(function.__globals__), function.__name__, defaults, cells)


def _fill(out: FunctionType, function: FunctionType, wrap: Wrap, made: Made) -> None:
    names, space = names_of(function.__code__), function.__globals__
    for name in names:
        if name in space:
            out.__globals__[name] = _fresh(space[name], names, wrap, made)
    for new, old in zip(out.__closure__ or (), function.__closure__ or (), strict=True):
        new.cell_contents = _fresh(old.cell_contents, names, wrap, made)


def _fresh(value: Any, names: tuple[str, ...], wrap: Wrap, made: Made) -> Any:
    """What stands for a value that code with these names reads."""
    value = plain(value)
    if isinstance(value, FunctionType):
        if value not in made:
            out = _blank(value, wrap, made)
            made[value] = wrap(out)
            _fill(out, value, wrap, made)
        return made[value]
    if isinstance(value, ModuleType) and not fixed(value.__name__):
        if (value, names) not in made:
            out = made[value, names] = ModuleType(value.__name__)
            vars(out).update(vars(value))
            taken = [name for name in names if name in vars(value)]
            vars(out).update({name: _fresh(vars(value)[name], names, wrap, made) for name in taken})
        return made[value, names]
    if isinstance(value, tuple):
        return getattr(value, "_make", tuple)(_fresh(x, names, wrap, made) for x in value)
    return value
