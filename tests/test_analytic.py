"""How the stiff method comes by a field's Jacobian: by what the field does, not by the numbers of one member."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit

from dynamics import modes
from dynamics.analytic import analytic
from dynamics.compiled import jacobian_kind
from dynamics.ensemble import integrate_many

PLACES = (-1.3, -0.4, 0.4, 1.3, 30.0)
STEP = 2.0**-200
PASSES = (
    lambda x: (x * x - 3 / x + 1,),
    lambda x: (-(x**2) + (+x),),
    lambda x: (np.exp(x) * np.sin(x) - np.cos(x) / np.expm1(x),),
    lambda x: (np.sqrt(x) + np.log(x) * np.log1p(x) - np.square(x),),
    lambda x: (np.float64(2.0) * x, 0.0),
)
REFUSED = (
    lambda x: (abs(x),),
    lambda x: (max(x, 0.0),),
    lambda x: (x if x > 0 else -x,),
    lambda x: (1.0 if x == 0 else x,),
    lambda x: (x if x else 1.0,),
    lambda x: (x.real,),
    lambda x: (np.real(x),),
    lambda x: (np.maximum(x, 0.0),),
    lambda x: (np.where(x > 0, x, 0.0),),
    lambda x: (x**3,),
    lambda x: (x**-2,),
    lambda x: (np.power(x, 3.0),),
    lambda x: (2.0**x,),
    lambda x: (np.tanh(x),),
    lambda x: (math.sin(x),),
)


@pytest.mark.parametrize("function", PASSES)
def test_what_passes_has_its_derivative_by_complex_steps(function) -> None:
    """In compiled code, wherever the function is a number."""
    assert analytic(function, 1)
    fast = njit(error_model="numpy")(function)
    for x in PLACES:
        exact, near = fast(complex(x, STEP))[0].imag / STEP, (fast(x + 1e-6)[0] - fast(x - 1e-6)[0]) / 2e-6
        assert math.isnan(near) or abs(exact - near) < 1e-6 * max(1.0, abs(near))  # rounding, 1e-16 / 1e-6, amplified


@pytest.mark.parametrize("function", REFUSED)
def test_what_does_not_is_refused(function) -> None:
    assert not analytic(function, 1)


def test_compiled_powers_are_why_they_are_refused() -> None:
    """Should numba take them by products some day, they may pass."""
    cube = njit(lambda x: x**3)
    assert abs(cube(complex(-1.3, STEP)).imag / STEP) > 1e30  # 3 x² = 5.07


def kinked(x, y, rate):
    return -rate * (abs(x) * x - y), -y


def cubed(x, y, rate):
    return -rate * (x**3 - y), -y


@pytest.mark.parametrize("field", [kinked, cubed])
@pytest.mark.parametrize("method", ["auto", "stiff"])
def test_a_member_is_not_judged_by_the_first(field, method: str) -> None:
    """At rate 0 every Jacobian agrees with differences."""
    both = integrate_many(field, (-1.0, -1.0), (np.array([0.0, 1e4]),), 3.0, method=method)
    alone = integrate_many(field, (-1.0, -1.0), (1e4,), 3.0, method=method)
    assert both.ok.all() and np.array_equal(both.y[1], alone.y) and both.tries[1] == alone.tries
    root = math.exp(-3.0 / (3 if field is cubed else 2))
    assert abs(alone.y[0] + root) < 1e-3  # slaved up to 1/rate times its own rate of change
    assert alone.tries < 1000  # explicit steps are held below 4.7 / 1e4: 6,000 and more


@njit
def half(x):
    return 0.5 * x


def by_helper(x, k):
    return (half(x) * k,)


def test_helpers_are_looked_into() -> None:
    assert jacobian_kind(modes.field, 3, 6) == jacobian_kind(by_helper, 1, 1) == "complex"
    assert jacobian_kind(kinked, 2, 1) == "differences"


def slaved_to_a_clock(t, y):
    """y stays at cos t, up to 1e-6 times its rate of change."""
    return 1, -1e6 * (y - np.cos(t))


@pytest.mark.parametrize("method", ["auto", "stiff"])
def test_a_whole_number_as_a_velocity_has_no_derivative(method: str) -> None:
    """(1).imag is 1 in compiled code: read as a derivative of 2^200, it held the clock at 0."""
    assert jacobian_kind(slaved_to_a_clock, 2, 0) == "complex"
    out = integrate_many(slaved_to_a_clock, (0.0, 1.0), (), 1.0, method=method)
    assert out.ok.all() and abs(out.y[0] - 1.0) < 1e-8  # rtol; a clock is integrated exactly
    assert abs(out.y[1] - np.cos(1.0)) < 2e-6  # twice 1e-6, times sin t < 1
