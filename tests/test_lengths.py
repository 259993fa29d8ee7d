"""Compiled lengths of rows and gradients through them, against their formulas in long doubles; and that each part is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from softmax_cases import TYPES
from tile_oracles import uncompiled

from full_models.losses import lengths
from full_models.losses.inputs import NORM_FLOOR

SOURCE = Path(lengths.__file__).read_text()
N, d = 12, 37


def rows(dtype: str) -> Any:
    """z (N, d): rows whose squares over- and underflow, are ordinary, are 0, and lie just below the floor."""
    z = np.random.default_rng(0).standard_normal((N, d))
    about = np.finfo(dtype)
    scales = [
        about.max / 64,
        about.max**0.5,
        1e3,
        1,
        1e-3,
        about.tiny**0.5 / 2**30,
        about.tiny**0.5 * 2,
        about.tiny * 8,
        0,
        NORM_FLOOR / 20,  # ‖z‖ about a third of the floor
    ]
    z[: len(scales)] *= np.array(scales)[:, None]
    z[0] = -np.abs(z[0])  # the number to divide out is negative
    return z.astype(dtype)


def excess(inverse_lengths: Callable[..., None], through_the_norm: Callable[..., None], dtype: str) -> float:
    """Largest difference from the formulas over what rounding allows, 2 (d + 4) eps; infinite for a NaN.

    A length is a sum of d squares; the gradient has a sum of d products beside it, in the unit of ‖g‖, and where that is near
    the least number of all, in the unit of that.
    """
    z, about = rows(dtype), np.finfo(dtype)
    real, floor = z.dtype.type, z.dtype.type(NORM_FLOOR)
    b = np.empty(N, dtype)
    inverse_lengths(z, floor, b)
    g = b[:, None] * np.random.default_rng(1).standard_normal((N, d)).astype(dtype)  # as long as its row is short
    norm = np.sqrt((z.astype(np.longdouble) ** 2).sum(1))
    expected = 1 / np.maximum(norm, floor)
    worst = float(np.abs(b / expected - 1).max())

    got = g.copy()
    through_the_norm(got, z, b, real(1) / floor)
    u = (z * expected[:, None]) * (norm > floor)[:, None]
    projected = g - u * (u * g).sum(1, keepdims=True)
    unit = np.sqrt((g.astype(np.longdouble) ** 2).sum(1)) + about.smallest_subnormal / about.eps
    worst = max(worst, float((np.abs(got - projected).max(1) / unit).max()))
    return worst / (2 * (d + 4) * about.eps) if np.isfinite(worst) else np.inf


@TYPES
def test_lengths_and_gradients_are_the_formulas(dtype: str) -> None:
    assert excess(lengths.inverse_lengths, lengths.through_the_norm, dtype) <= 1


def test_a_nan_stays_in_its_row() -> None:
    z, b = rows("float64"), np.empty(N)
    z[3, 5] = np.nan
    lengths.inverse_lengths(z, NORM_FLOOR, b)
    assert np.flatnonzero(np.isnan(b)).tolist() == [3]


@TYPES
def test_a_length_that_overflows_is_nan_and_not_infinite(dtype: str) -> None:
    z, b = rows(dtype), np.empty(N, dtype)
    z[3] = np.sign(z[3]) * np.finfo(dtype).max / 2  # of length √37 / 2 max
    lengths.inverse_lengths(z, z.dtype.type(NORM_FLOOR), b)
    assert np.flatnonzero(np.isnan(b)).tolist() == [3]
    assert (b[np.arange(N) != 3] > 0).all()  # 1 / inf would be 0


FAULTS = {
    "squares that overflow kept": ("if not np.isfinite(total):", "if False:"),
    "the scale of a sign": ("np.abs(z[i]).max()", "z[i].max()"),
    "the scale not given back": ("length = scale * ", "length = "),
    "the floor lost": ("(floor if length < floor else length)", "length"),
    "not the lengths but their squares": ("np.sqrt(total)", "total"),
    "the gradient of rows at the floor changed": ("if not b[i] >= longest:", "if True:"),
    "the gradient along the row kept": ("-= b[i] * z[i, l] * along", "-= 0 * along"),
    "a factor lost": ("-= b[i] * z[i, l] * along", "-= z[i, l] * along"),
}


def worst_of(text: str, dtype: str) -> float:
    names = uncompiled(text)
    with np.errstate(all="ignore"):  # a fault may divide by zero
        return excess(names["inverse_lengths"], names["through_the_norm"], dtype)


@TYPES
def test_the_source_read_as_python_is_the_formula(dtype: str) -> None:
    assert worst_of(SOURCE, dtype) <= 1


@TYPES
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str, dtype: str) -> None:
    old, new = FAULTS[name]
    assert SOURCE.count(old) == 1
    law = 2 * (d + 4) * np.finfo(dtype).eps
    assert worst_of(SOURCE.replace(old, new), dtype) > 1e-4 / law  # each fault is 1e-4 at least; rounding is below 1
