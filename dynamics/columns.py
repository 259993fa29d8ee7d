"""The columns of an ensemble's members, one for each argument of its field, as they are given and read a block of members at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dynamics.compiled import FieldError
from dynamics.run import Array

Shape = tuple[int, ...]
FLOAT = np.dtype(float)


@dataclass(frozen=True)
class Columns:
    """values: k columns in one array (k, *shape), or k arrays, each of its own shape, to be broadcast together."""

    values: Array | list[Array]

    def __len__(self) -> int:
        return len(self.values)

    def shapes(self) -> set[Shape]:
        """Of the columns that there are."""
        return {self.values.shape[1:]} if isinstance(self.values, np.ndarray) else {v.shape for v in self.values}

    def first(self) -> list[float]:
        """The first member's values; a number to try a function with in place of one that is missing or not finite."""
        if isinstance(self.values, np.ndarray):
            found = self.values[:, *[0] * (self.values.ndim - 1)].tolist()
        else:
            found = [float(v.flat[0]) if v.size else math.nan for v in self.values]
        return [x if math.isfinite(x) else 0.5 for x in found]

    def block(self, shape: Shape, part: slice) -> Array:
        """(members, k) of members `part`. Columns in one array are read where they lie: gathering nine columns
        takes a fifteenth of the time of integrating mild members."""
        if isinstance(self.values, np.ndarray) and self.values.shape[1:] == shape:
            return self.values.reshape(len(self), -1)[:, part].T
        out = np.empty((part.stop - part.start, len(self)))
        for j, column in enumerate(self.values):
            out[:, j] = members(column, shape, part)
        return out


def columns(given: Sequence[ArrayLike] | Array, name: str) -> Columns:
    """An array of floats stays whole; of lists, and of arrays of another kind (a np.matrix has rows of two axes), each column is
    an array by itself. Raises FieldError, with the name, for what holds no columns or no real numbers."""
    if type(given) is np.ndarray and given.dtype == float and given.ndim > 0 and given.size > 0:
        return Columns(given)
    try:
        each = list(given)
    except TypeError:
        raise FieldError(
            f"{name} is of type {type(given).__name__}: give a sequence of columns, as in ({given},)"
        ) from None
    return Columns([reals(c, name) for c in each])


def reals(given: ArrayLike, name: str) -> Array:
    """As an array of floats. Raises FieldError, with the name, for what is no array of real numbers."""
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise FieldError(f"{name} holds masked numbers: leave these members out, or fill them with .filled()")
    try:
        out = np.asarray(given)
    except ValueError:
        raise FieldError(f"{name} holds rows of different lengths: give rows of one length") from None
    if out.dtype is FLOAT:  # as most are
        return out
    if out.dtype.kind not in "biuf":
        raise FieldError(f"{name} holds {out.dtype} values: give real numbers")
    return np.asarray(out, dtype=float)


def members(column: Array, shape: Shape, part: slice) -> Any:
    """Members `part` of a column, of all members in order; a scalar stays one, and no column is copied whole."""
    if column.ndim == 0:
        return float(column)
    return column.reshape(-1)[part] if column.shape == shape else np.broadcast_to(column, shape).flat[part]
