"""What a function's machine code depends on: its own code, and all that it reads from outside, at its present value.

numba freezes globals, closure cells, defaults and what stands in modules when it compiles, so machine code may be used again
only while none of them has changed: `cached` sees to it within a process, `fingerprint` between processes. Contents of the
modules of FIXED are taken for granted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache, wraps
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numba.core.dispatcher import Dispatcher

FIXED = ("builtins", "math", "cmath", "numpy", "numba")
P = ParamSpec("P")
R = TypeVar("R")
NUMBERS = (float, int, complex, str, bytes, type(None), np.generic)


class NoFingerprint(Exception):
    """A function reads what cannot be recognised in another process."""


@dataclass(frozen=True)
class Again:
    """A function that is called by itself. It has no text: machine code of recursion that numba kept ends the run that loads it."""

    name: str


def plain(value: Any) -> Any:
    """The Python function of one compiled by numba; any other value as it is."""
    return value.py_func if type(value) is not FunctionType and isinstance(value, Dispatcher) else value


def cached(make: Callable[P, R]):  # returns what `wraps` does: with __wrapped__
    """functools.cache, but a function among the arguments counts as what it `reads`: changed, it is another one."""
    made: dict[Any, R] = {}

    @wraps(make)
    def kept(*arguments: P.args, **_: P.kwargs) -> R:
        key = tuple([reads(plain(x)) if callable(x) else x for x in arguments])
        found = made.get(key)
        if found is None:  # which nothing here is
            found = made[key] = make(*arguments)  # pyright: ignore[reportCallIssue]  all of them positional
        return found

    return kept


def fingerprint(function: Callable[..., Any]) -> str:
    """`reads` as a text, the same in any process. Raises NoFingerprint where there is none."""
    return _text(reads(plain(function)))


def reads(value: Any, names: tuple[str, ...] = (), outer: tuple[Any, ...] = ()) -> Hashable:
    """A tree of all that a function reads, equal for those that compile to the same; of any other value, what it is.

    names: those in the code that reads the value, to tell what it takes from a module; outer: what is being read, so that
    circles end.
    """
    if isinstance(value, FunctionType):
        return Again(value.__name__) if value in outer else _function(value, outer)
    if isinstance(value, NUMBERS):
        return type(value), repr(value)  # not the number: 0.0 = -0.0 = False, and NaN is not NaN
    if isinstance(value, ModuleType):
        here = value, names
        if here in outer or fixed(value.__name__):
            return value.__name__
        taken = [(name, vars(value)[name]) for name in names if name in vars(value)]
        return value.__name__, *((name, reads(x, names, (*outer, here))) for name, x in taken)
    if isinstance(value, tuple):
        return type(value), *(reads(x, names, outer) for x in value)
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, Dispatcher):
        return reads(value.py_func, names, outer), str(value.targetoptions)
    return value if isinstance(value, Hashable) else id(value)  # of the latter numba compiles none


def _function(function: FunctionType, outer: tuple[Any, ...]) -> Hashable:
    code, space = function.__code__, function.__globals__
    names = names_of(code)
    if not (names or function.__closure__ or function.__defaults__):
        return code
    used = tuple(name for name in names if name in space)
    values = [*(cell.cell_contents for cell in function.__closure__ or ()), *(function.__defaults__ or ())]
    values += [space[name] for name in used]
    return code, used, *(reads(value, names, (*outer, function)) for value in values)


@lru_cache(1000)
def names_of(code: CodeType) -> tuple[str, ...]:
    """Of globals and attributes that the code names."""
    inner = [name for c in code.co_consts if isinstance(c, CodeType) for name in names_of(c)]
    return tuple(sorted({*code.co_names, *inner}))


def _text(part: Any) -> str:
    if isinstance(part, tuple):
        return f"({','.join(map(_text, part))})"
    if isinstance(part, str | int):
        return repr(part)
    if isinstance(part, bytes):
        return part.hex()
    if isinstance(part, CodeType):
        constants = [_text(c) if isinstance(c, CodeType) else repr(c) for c in part.co_consts]
        return "\n".join([part.co_code.hex(), *constants, *part.co_names, *part.co_varnames])
    if isinstance(part, type) and issubclass(part, tuple) and part is not tuple:
        return f"{part.__qualname__}{getattr(part, '_fields', ())}"
    known = isinstance(part, BuiltinFunctionType | np.ufunc) or fixed(getattr(part, "__module__", None))
    if known and hasattr(part, "__name__"):
        return f"{type(part).__qualname__} {part.__name__}"
    raise NoFingerprint


def fixed(module: str | None) -> bool:
    """Are the contents of a module of this name taken for granted?"""
    return (module or "").split(".")[0] in FIXED
