"""The compiled exponential, and its coefficients derived again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from numba import njit, types

from dynamics.exponential import FORMS, exponential, exponentials
from full_models.losses.exponential_tile import exponential_tile, tile_below_top
from full_models.tile import ROW_BYTES, ROWS

KINDS = pytest.mark.parametrize("kind", [types.float64, types.float32], ids=str)
HALF = mp.log(2) / 2


@pytest.fixture(autouse=True)
def digits() -> Any:
    with mp.workdps(50):
        yield


def g(r: Any) -> Any:
    """(e^r - 1 - r) / r² by its series, whose terms beyond the 40th are below 0.35^40 / 42! < 1e-69."""
    return sum(r**j / mp.factorial(j + 2) for j in range(40))


def interpolated(degree: int) -> list[Any]:
    """Coefficients, highest first, of the polynomial through g at Chebyshev's nodes of [-ln 2 / 2, ln 2 / 2]."""
    nodes = [HALF * mp.cos((2 * i + 1) * mp.pi / (2 * degree + 2)) for i in range(degree + 1)]
    powers = mp.matrix([[x**j for j in range(degree + 1)] for x in nodes])
    return list(mp.lu_solve(powers, mp.matrix([g(x) for x in nodes])))[::-1]


def off_by(coefficients: list[Any]) -> float:
    """log2 of the largest relative error of 1 + r + r² g(r), at 201 points that hold both ends."""
    worst = max(
        abs((1 + r + r * r * mp.polyval(coefficients, r)) / mp.exp(r) - 1) for r in mp.linspace(-HALF, HALF, 201)
    )
    return float(mp.log(worst, 2))


@KINDS
def test_the_coefficients_are_those_of_the_interpolation(kind: Any) -> None:
    form = FORMS[kind]
    derived = [form.dtype(float(c)) for c in interpolated(len(form.g) - 1)]
    assert [form.dtype(c) for c in form.g] == derived  # to the last bit
    bits = np.finfo(form.dtype).nmant + 1
    table = [mpf(float(form.dtype(c))) for c in form.g]
    assert off_by(table) < -bits - 2  # a quarter of half a unit in the last place
    assert off_by(interpolated(len(form.g) - 2)) > -bits  # one degree less would show in the last place
    for i in range(len(table)):  # a fault in any of them that moves the end of the range by one such place is seen
        fault = mpf(2) ** -bits / HALF ** (len(table) + 1 - i)
        assert off_by([c + fault * (j == i) for j, c in enumerate(table)]) > -bits - 2, i


@KINDS
def test_the_two_parts_of_ln_2(kind: Any) -> None:
    form = FORMS[kind]
    high, low = (mpf(float(form.dtype(part))) for part in form.ln2)
    bits = np.finfo(form.dtype).nmant + 1
    spare = mp.log(2 * np.finfo(form.dtype).maxexp, 2)  # |k| <= 2 maxexp: k times the high part has `bits` bits at most
    assert high * mpf(2) ** (bits - spare) == int(high * mpf(2) ** (bits - spare))
    assert abs(high + low - mp.log(2)) < mpf(2) ** (-bits - 8)  # maxexp times it is below a unit in the last place


def arguments(kind: Any) -> np.ndarray:
    """The whole range, more closely around 0 and where k changes, and both ends."""
    about, rng = np.finfo(FORMS[kind].dtype), np.random.default_rng(0)
    low, high = np.log(float(about.tiny)), np.log(float(about.max)) - 1
    steps = (np.arange(int(low / np.log(2)), int(high / np.log(2))) + 0.5) * np.log(2)
    x = [
        rng.uniform(low, high, 4000),
        rng.normal(0, 1, 2000),
        rng.normal(0, 1e-6, 200),
        steps * (1 + 1e-7),
        steps * (1 - 1e-7),
    ]
    ends = np.nextafter(np.array([low, high], about.dtype), 0)
    return np.concatenate([*(part.astype(about.dtype) for part in x), ends])


def units_off(x: np.ndarray, y: np.ndarray) -> float:
    """Largest |y - e^x| in units of the last place of e^x."""
    exact = [mp.exp(mpf(float(v))) for v in x]
    return max(
        float(abs(mpf(float(b)) - e) / mpf(float(np.spacing(x.dtype.type(float(e))))))
        for b, e in zip(y, exact, strict=True)
    )


@KINDS
def test_less_than_one_unit_in_the_last_place(kind: Any) -> None:
    x = arguments(kind)
    y = np.empty_like(x)
    exponentials(x, y)
    assert units_off(x, y) < 1  # half a unit of the last sum, the rest from r and r² g(r), each below half of 1
    assert units_off(x, y * (1 + 2 * np.finfo(x.dtype).eps)) > 1  # the measure sees two units


@njit
def by_tiles(S: np.ndarray, top: np.ndarray, E: np.ndarray, Z: np.ndarray) -> None:
    """Of scores that are held, (ROWS, a tile's columns): E[0] = exp S, E[1] = exp(S - top), Z their sums over the rows."""
    n = S.shape[1]
    exponential_tile(S, 0, n, 1, S, 0, n, 0, S, 0, n, E[0], 0, n, Z[0], 0)
    tile_below_top(S, 0, n, 1, S, 0, n, 0, S, 0, n, top, S.dtype.type(-5), E[1], 0, n, Z[1], 0)


@KINDS
def test_tiles_give_the_same_bits(kind: Any) -> None:
    dtype = FORMS[kind].dtype
    S = np.random.default_rng(0).uniform(-20, 20, (ROWS, ROW_BYTES // np.dtype(dtype).itemsize)).astype(dtype)
    top, E, Z = S.max(0) - 1, np.empty((2, *S.shape), dtype), np.ones((2, S.shape[1]), dtype)
    by_tiles(S, top, E, Z)
    for power, argument in zip(E, (S, S - top), strict=True):
        expected = np.empty_like(S)
        exponentials(argument.ravel(), expected.ravel())
        kept = np.ones(S.shape, bool) if argument is S else argument >= -5
        np.testing.assert_array_equal(power, np.where(kept, expected, 0))
    assert 0 < np.count_nonzero(E[1]) < E[1].size  # both sides of the bound
    np.testing.assert_allclose(
        Z, 1 + E.sum(1), rtol=2 * ROWS * np.finfo(dtype).eps
    )  # a sum of ROWS + 1 positive numbers


@KINDS
def test_special_arguments(kind: Any) -> None:
    dtype = FORMS[kind].dtype
    x = np.array([0.0, -0.0, np.nan, -np.nan], dtype)
    payload = x.view(np.int64 if dtype is np.float64 else np.int32)
    x = np.append(x, (payload[2:3] | 5).view(dtype))  # a NaN whose last bits are not 0
    y = np.empty_like(x)
    exponentials(x, y)
    assert y[0] == y[1] == 1  # exactly: all terms but the first are 0
    assert np.isnan(y[2:]).all()
    with pytest.raises(NotImplementedError, match="not usable in pure-python"):
        exponential(0.0)
