"""Fields of a user in compiled ensembles: each way of failing said per member, Jacobians, machine code that fits, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mode_cases import draw, jacobian, marks
from numba import njit

from dynamics import compiled, lanes, modes
from dynamics.ensemble import FieldError, integrate_many
from dynamics.fingerprint import fingerprint


def square(x):
    return x * x


def riccati(x, rate):
    """x' = rate x²: blows up at 1 / (rate x0). Calls a plain function of its own."""
    return (rate * square(x),)


def test_a_users_field_and_each_way_of_failing() -> None:
    x0 = np.array([1.0, 0.1, -1.0, np.inf, 0.5])
    out = integrate_many(riccati, (x0,), (1.0,), 5.0, rtol=1e-10)
    assert list(out.status) == [lanes.TOO_SMALL, lanes.DONE, lanes.DONE, lanes.NOT_FINITE, lanes.TOO_SMALL]
    assert np.allclose(out.t[[0, 4]], [1.0, 2.0], rtol=1e-6)  # stops just before the pole 1/x0
    exact = x0[1:3] / (1 - 5 * x0[1:3])
    assert np.abs(out.y[1:3, 0] - exact).max() < 1e-7  # 10³ rtol
    assert len(out.failures()) == 2 and all("of 5 members" in line for line in out.failures())
    few = integrate_many(riccati, (0.1,), (1.0,), 5.0, rtol=1e-10, max_tries=3)
    assert few.status == lanes.TOO_MANY and "max_tries" in few.failures()[0]


def kinked(x, y, rate):
    """Stiff, and not analytic: a complex step through |x| would be wrong in silence."""
    return -rate * (abs(x) * x - y), -y


def test_a_field_that_is_not_analytic_takes_differences() -> None:
    out = integrate_many(kinked, (1.0, 1.0), (1e5,), 3.0)
    assert out.ok.all() and out.stiff.all()
    assert abs(out.y[0] - math.sqrt(out.y[1])) < 1e-4  # slaved to √y up to 1/rate times its own rate of change
    assert abs(out.y[1] - math.exp(-3)) < 1e-5  # 10³ rtol


def test_analytic_jacobian_changes_nothing_and_a_wrong_one_is_refused() -> None:
    y, q = draw(7, stiffness=1000.0)
    own = integrate_many(modes.field, y, q, 6.0, events=marks, rtol=1e-7)
    given_ = integrate_many(modes.field, y, q, 6.0, events=marks, rtol=1e-7, jacobian=jacobian)
    assert np.abs(own.y - given_.y).max() < 1e-9 and np.array_equal(own.tries, given_.tries)  # rounding, amplified
    with pytest.raises(FieldError, match="disagrees"):
        integrate_many(modes.field, y, q, 6.0, jacobian=lambda *z: jacobian(*z)[::-1])


def test_a_changed_field_never_meets_old_machine_code() -> None:
    first = fingerprint(riccati)
    space = {"square": lambda x: x * x * 1.5}
    changed = type(riccati)(riccati.__code__, space, "riccati")
    assert fingerprint(changed) != first  # same text, another helper
    assert fingerprint(type(riccati)(riccati.__code__, {"square": square}, "riccati")) == first


def test_where_nothing_can_be_written_it_still_runs(monkeypatch, tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert compiled._kept("text", [riccati]) is None
    out = integrate_many(lambda x: (-x,), (1.0,), (), 2.0, rtol=1e-10)
    assert abs(out.y[0] - math.exp(-2)) < 1e-7  # 10³ rtol

    def no_folder(*_, **__):  # what numba does where no folder is writable
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(compiled, "kept_jit", no_folder)
    assert compiled._jit(square, "float64(float64)", True)(3.0) == 9.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y0": (0.1, 0.2)}, "must take 2 states and 6 parameters"),
        ({"field": lambda p, w, v, a, c, k, b, e, f: (p, w)}, "returns 2 numbers for 3 states"),
        ({"field": lambda p, w, v, a, c, k, b, e, f: p}, "must return a tuple"),
        (
            {"field": lambda p, w, v, a, c, k, b, e, f: (p, w, float(format(v, ".3f")))},
            "numba cannot compile .*'format'",
        ),
        ({"field": lambda p, w, v, a, c, k, b, e, f: (p, w, [v].index(a))}, "fails at the first member"),
        ({"t_end": -1.0}, "t_end must be finite and not negative"),
        ({"t_end": None}, "either t_end or times"),
        ({"t_end": None, "times": [1.0, 0.5]}, "increasing"),
        ({"rtol": 0.0}, "rtol"),
        ({"method": "magic"}, "choose auto, explicit or stiff"),
        ({"threads": 0}, "at least 1"),
        ({"y0": (np.ones(3), np.ones(2), 1.0)}, "broadcast"),
        ({"stop": (True,)}, "one truth value an event"),
    ],
)
def test_bad_input_is_one_sentence(change: dict, says: str) -> None:
    call = {"field": modes.field, "y0": (0.1, 0.2, 0.3), "parameters": (1.0,) * 6, "t_end": 1.0} | change
    with pytest.raises(FieldError, match=says) as error:
        integrate_many(**call)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["explicit", "stiff"])
def test_a_step_that_overflows_is_no_step(method: str) -> None:
    """x' = c, without an error of its own: over the infinite scale of x = inf a step beyond the largest number would pass."""
    flat = lambda x, c: ((0.0,),)  # noqa: E731
    out = integrate_many(lambda x, c: (c,), (1e305,), (1e305,), 1e4, jacobian=flat, method=method)
    assert out.status == lanes.TOO_SMALL and np.isfinite(out.y).all()
    # x = 1e305 (1 + t) passes the largest number, 1.797e308, at 1796.7, and |x| + |x'| does at 1795.7
    assert 1790 < out.t < 1797  # the latter, and the last step before it


SMALL = -2


def by_variable_powers(x):
    return (-(sum([x**n for n in range(-2, 0)]) - 1.0 / x),)


@pytest.mark.parametrize("method", ["explicit", "stiff"])
@pytest.mark.parametrize(
    "field",
    [
        lambda x: (-(x**-2),), lambda x: (-(x**SMALL),), lambda x: (-math.pow(x, -2),), lambda x: (-(np.sqrt(x) ** -4),),
        lambda x: (-(abs(x) ** -2),), by_variable_powers,
    ],
)  # fmt: skip
def test_negative_powers_fail_member_by_member(field, method: str) -> None:
    """Each is 1/x²: a member at 0 ended all of them, and so did lanes without a member, of which 3 members leave 13."""
    out = integrate_many(field, ([2.0, 0.0, 2.0],), (), 1.0, rtol=1e-10, method=method)
    assert list(out.status) == [lanes.DONE, lanes.NOT_FINITE, lanes.DONE]
    assert np.abs(out.y[[0, 2], 0] - 5.0 ** (1 / 3)).max() < 1e-7  # x³ = 8 - 3 t; 10³ rtol


@pytest.mark.parametrize("method", ["explicit", "stiff"])
def test_a_quotient_by_a_parameter_that_is_0_is_one_members_failure(method: str) -> None:
    """By complex steps numba's quotient raised, at a parameter of 0 as in lanes without a member."""
    out = integrate_many(lambda x, q: (-x / q,), (1.0,), ([1.0, 0.0, 2.0],), 1.0, rtol=1e-10, method=method)
    assert list(out.status) == [lanes.DONE, lanes.NOT_FINITE, lanes.DONE]
    assert np.abs(out.y[[0, 2], 0] - np.exp([-1.0, -0.5])).max() < 1e-7  # 10³ rtol


def test_code_with_errors_of_python_keeps_them() -> None:
    for function in (lambda x: x**-2, lambda x: x**SMALL, lambda x: math.pow(x, -2), lambda x: 1.0 / complex(x, 0.0)):
        assert njit(function)(2.0) == function(2.0)
        with pytest.raises(ZeroDivisionError):
            njit(function)(0.0)


def guarded(x, level):
    if x <= level:
        raise ValueError("mine")
    return (-x,)


@pytest.mark.parametrize("method", ["explicit", "stiff"])
def test_a_field_that_raises_does_so_for_members_alone_and_in_one_sentence(method: str) -> None:
    """Lanes without a member were at 0; 9 exp(-1) is above 2, which the numbers that compiled code is tried with are not."""
    for count in (1, 17, 300):
        out = integrate_many(guarded, (np.full(count, 9.0),), (2.0,), 1.0, method=method)
        assert out.ok.all() and np.abs(out.y - 9.0 * math.exp(-1)).max() < 1e-4  # 10³ rtol
    with pytest.raises(FieldError, match=r"raise ValueError \(mine\) .* return math.nan there instead") as error:
        integrate_many(guarded, ([9.0, -1.0],), (2.0,), 1.0, method=method)
    assert "\n" not in str(error.value)
