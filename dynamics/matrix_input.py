"""What the matrix flows take as input, said in one sentence each where it is none: numbers, matrices, rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynamics.run import Array


class FlowError(ValueError):
    """Matrices, rates or times that do not fit together; the message says which and what to give instead."""


def real(name: str, value: Any) -> Array:
    """A new array of float64. Raises FlowError for what is complex, text or ragged."""
    try:
        return np.asarray(value).astype(float, casting="same_kind")
    except (TypeError, ValueError):
        raise FlowError(f"{name} is not made of real numbers: give a number or an array of them") from None


def members(name: str, value: Any) -> Array:
    """Matrices (B, n, m) of B >= 1 members, from such, or from one matrix (n, m). Raises FlowError."""
    X = real(name, value)
    if X.ndim not in (2, 3) or not X.size:
        raise FlowError(f"{name} has shape {X.shape}: give a matrix, or one a member on an axis before it")
    return X if X.ndim == 3 else X[None]


def starts(name: str, value: Any) -> Array:
    """`members` of which every entry is finite. Raises FlowError."""
    X = members(name, value)
    if not np.isfinite(X).all():
        raise FlowError(f"{name} has an entry that is not finite: give a start of finite numbers")
    return X


def shares(levels: Any) -> tuple[float, ...]:
    """Levels (E,), each finite and above 0. Raises FlowError."""
    X = real("levels", levels)
    if X.ndim != 1 or not (np.isfinite(X) & (X > 0)).all():
        raise FlowError(f"levels = {levels}: give a row of finite shares > 0 of ‖W0‖")
    return tuple(X.tolist())


def rates(B: int, *values: Any) -> Array:
    """(B, 4), padded with zeros."""
    out = np.zeros((B, 4))
    for i, value in enumerate(values):
        value = real("a rate", value)
        if value.shape not in ((), (B,)):
            raise FlowError(f"a rate has shape {value.shape}: give a number, or one a member ({B},)")
        if not (np.isfinite(value) & (value >= 0)).all():
            raise FlowError(f"a rate is {value}: give finite numbers >= 0")
        out[:, i] = value
    return out
