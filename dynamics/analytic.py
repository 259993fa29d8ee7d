"""Do complex steps give a field's derivatives? Found by calling it with a symbol in place of all members' numbers. Exact.

A complex step through |x|, a comparison or .real is wrong in silence, and so is one through a power: compiled code takes it by
logarithms, whose branch at a negative number turns the imaginary part 2^-200 x into one of 1e-16. tanh overflows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

FUNCTIONS = (
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive, np.square,
    np.exp, np.expm1, np.log, np.log1p, np.sqrt, np.sin, np.cos,
)  # fmt: skip


class Symbol:
    """Any number that such a field may meet: it answers what complex steps pass through with itself, all else with an error."""

    def same(self, *_: Any) -> Symbol:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = __pos__ = same

    def __pow__(self, power: Any) -> Symbol:
        if isinstance(power, int | float) and power == 2:  # compiled as a product
            return self
        raise TypeError

    def __array_ufunc__(self, function: Any, method: str, *_: Any, **__: Any) -> Symbol:
        if method == "__call__" and function in FUNCTIONS:
            return self
        raise TypeError

    def refuse(self, *_: Any) -> Any:
        """A branch taken on a symbol would be taken for all members."""
        raise TypeError

    # without these, == and truth would answer in silence, and numpy's other functions make an array of the symbol
    __bool__ = __eq__ = __ne__ = __array_function__ = refuse  # pyright: ignore[reportAssignmentType]
    __hash__ = object.__hash__


def analytic(function: Callable[..., Any], count: int) -> bool:
    """Whether complex steps pass through a function of so many numbers, whatever these are."""
    try:
        return all(isinstance(x, Symbol | int | float) for x in function(*[Symbol()] * count))
    except Exception:  # whatever a function does that meets a symbol where it expects a number
        return False
