"""What an ensemble is given: each slip is one sentence with its remedy, and what is right is not refused for its first member."""

from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import numpy as np
import pytest
from mode_cases import jacobian

from dynamics import modes
from dynamics.ensemble import FieldError, integrate_many
from dynamics.ensemble_input import check_jacobian


def decay(x, k):
    return (-k * x,)


class Callable:
    def __call__(self, x, k):
        return (-k * x,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y0": 1.0}, r"y0 is of type float: .*\(1.0,\)"),
        ({"y0": np.array(1.0)}, "y0 is of type ndarray"),
        ({"parameters": 1.0}, "parameters is of type float"),
        ({"field": lambda k: (), "y0": ()}, "y0 has no columns"),
        (
            {"y0": np.ones((2000, 3)), "parameters": np.ones((2000, 6))},
            r"^.{,99} shapes \(3,\), \(6,\) do .{,99}y0\.T where.{,30}$",
        ),
        ({"y0": [np.ones(k) for k in range(2, 9)]}, r"shapes \(2,\), \(3,\), \(4,\), \(5,\), \.\.\. do not broadcast"),
        ({"y0": np.ones((1, 2)), "t_end": np.ones(7)}, r"shapes \(2,\) and t_end of shape \(7,\) do not broadcast"),
        ({"y0": (1 + 1j,)}, "y0 holds complex128 values: give real numbers"),
        ({"y0": np.ones((1, 2), complex)}, "y0 holds complex128 values"),
        ({"y0": ("a",)}, "y0 holds .* values: give real numbers"),
        ({"y0": (None,)}, "y0 holds object values"),
        ({"parameters": ([1.0, [2.0]],)}, "parameters holds rows of different lengths"),
        ({"t_end": "soon"}, "t_end holds .* values"),
        ({"t_end": None, "times": [1j]}, "times holds complex128 values"),
        ({"rtol": None}, "rtol = None"),
        ({"rtol": np.array([1e-6, 1e-8])}, "rtol = "),
        ({"rtol": np.array([1e-8])}, "rtol = array"),
        ({"atol": "small"}, "atol = 'small'"),
        ({"atol": 2e-308}, "give .* a finite atol >= 2.23e-308"),
        ({"max_tries": math.nan}, "max_tries = nan: give whole numbers"),
        ({"max_tries": math.inf}, "max_tries = inf: give whole numbers"),
        ({"max_tries": 2.5}, "give whole numbers"),
        ({"max_tries": np.array([9])}, "give whole numbers"),
        ({"threads": 1.5}, "give whole numbers"),
        ({"threads": None}, "give whole numbers"),
        ({"field": None}, "field is of type NoneType: write it as a plain function"),
        ({"field": functools.partial(decay, k=1.0), "parameters": ()}, "field is of type partial: write it as a plain"),
        ({"field": Callable()}, "field is of type Callable: write it as a plain"),
        ({"field": Callable().__call__}, "field is of type method: write it as a plain"),
        ({"field": lambda x, k: ([*x, x],)}, "field fails at the first member .*iterable"),
        ({"field": lambda x, k: None}, "field must return a tuple"),
        ({"field": lambda x, k, *, c=2.0: (-c * k * x,)}, r"field takes arguments by keyword alone, .* in front of it"),
        ({"events": lambda x, k, **_: (x - k,)}, "events takes arguments by keyword alone"),
        ({"field": lambda x, k: (np.where(x > k, -x, x),)}, r"cannot compile .*if and else for np.where"),
        ({"field": lambda x, k: (-np.clip(x, 0.0, k),)}, r"cannot compile .* min and max for np.clip"),
        ({"events": 3}, "events is of type int: write it as a plain"),
        ({"events": lambda x: (x,)}, "events cannot be called with 2 numbers"),
        ({"events": lambda x, k: (1 / (x - x),)}, "events fails at the first member .*division by zero"),
        ({"events": lambda x, k: (x - 0.5,), "stop": True}, r"stop has shape \(\) for 1 events"),
        ({"events": lambda x, k: (x - 0.5,), "stop": [[1], [1, 2]]}, "stop holds rows of different lengths"),
        ({"jacobian": 3}, "jacobian is of type int: write it as a plain"),
        ({"jacobian": lambda x: ((1.0,),)}, "jacobian cannot be called with 2 numbers"),
        ({"jacobian": lambda x, k: ((x.none,),)}, "jacobian fails at the first member .*attribute"),
        ({"jacobian": lambda x, k: ((-k,), (0.0,))}, r"jacobian returns shape \(2, 1\)"),
        ({"jacobian": lambda x, k: ((-k,), (0.0, 1.0))}, "jacobian holds rows of different lengths"),
        ({"jacobian": lambda x, k: ((k,),)}, "jacobian disagrees"),
    ],
)
def test_a_slip_is_one_sentence(change: dict, says: str) -> None:
    call = {"field": decay, "y0": (1.0,), "parameters": (1.0,), "t_end": 1.0} | change
    with pytest.raises(FieldError, match=says) as error:
        integrate_many(**call)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["explicit", "stiff"])
@pytest.mark.parametrize("field", [decay, lambda x, k: (-k * abs(x),)])
def test_the_least_atol_and_the_most_tries_may_be_given(field, method: str) -> None:
    """1 over the tolerance of a member at rest at 0 was infinite for a smaller one; a larger whole number is no float."""
    least = {"atol": 2.23e-308, "max_tries": 10**400}
    out = integrate_many(field, ([0.0, 1.0],), (1.0,), 1.0, method=method, **least)
    assert out.ok.all() and out.y[0] == 0.0 and abs(out.y[1, 0] - math.exp(-1)) < 1e-6  # 10² rtol


def test_whole_numbers_may_be_of_any_kind() -> None:
    for kind in (int, float, np.int64, np.float64):
        numbers: dict[str, Any] = {"max_tries": kind(10_000), "threads": kind(1)}
        out = integrate_many(decay, (np.ones(3),), (1,), np.int64(1), **numbers)
        assert np.abs(out.y - math.exp(-1)).max() < 1e-6  # 10² rtol


def test_events_are_counted_where_the_first_member_divides_by_zero() -> None:
    """x = 0 stays there and 1/x is infinite; the other falls to 0.5 at log 2, and 1/x rises to 1.5 at log 1.5."""
    for stop in (None, (False, True)):
        out = integrate_many(decay, ([0.0, 1.0],), (1.0,), 3.0, events=lambda x, k: (1 / x - 1.5, x - 0.5), stop=stop)
        assert np.isnan(out.event_times[0]).all()
        assert np.abs(out.event_times[1] - np.log([1.5, 2.0])).max() < 1e-5  # 10³ rtol


def test_a_first_member_outside_the_field_does_not_end_the_others() -> None:
    """math.sqrt of a negative number: Python raises where compiled code says NaN."""
    out = integrate_many(lambda x: (-math.sqrt(x),), ([-1.0, 1.0],), (), 1.0)
    assert list(out.ok) == [False, True] and abs(out.y[1, 0] - 0.25) < 1e-5  # (1 - t/2)²; 10³ rtol


@pytest.mark.parametrize("entry", [(0, 0), (0, 1), (1, 0), (2, 1)])
def test_a_jacobian_with_one_entry_off_by_a_percent_is_refused(entry: tuple[int, int]) -> None:
    """A percent is a hundred times `ensemble_input.AGREE`."""
    y, q = (0.5, 0.6, 0.7), (1.2, 0.8, 1.0, 1.0, 0.3, 0.3)

    def off(*z):
        return [
            [m * (1.01 if (i, j) == entry else 1.0) for j, m in enumerate(row)] for i, row in enumerate(jacobian(*z))
        ]

    with pytest.raises(FieldError, match="disagrees with differences"):
        integrate_many(modes.field, y, q, 1.0, jacobian=off)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-12, 1e-3])
def test_a_right_jacobian_passes_however_small_the_state(scale: float) -> None:
    """1 + x near 0: a difference over 1e-5 of the state would be rounding of the 1."""
    out = integrate_many(lambda x: (1.0 + x,), (scale,), (), 1.0, jacobian=lambda x: ((1.0,),), method="stiff")
    assert abs(out.y[0] - (math.e * (1 + scale) - 1)) < 1e-5  # 10³ rtol


def test_a_wrong_jacobian_is_refused_at_zero() -> None:
    with pytest.raises(FieldError, match="disagrees"):
        integrate_many(lambda x: (1.0 + x,), (0.0,), (), 1.0, jacobian=lambda x: ((1.01,),))


@pytest.mark.parametrize("root", [math.sqrt, np.sqrt])
def test_a_jacobian_is_judged_elsewhere_where_there_are_no_differences(root) -> None:
    """√x at x = 0: the difference asks for √ of a negative number."""
    field = lambda x, k: (k - root(x),)  # noqa: E731
    right, wrong = (lambda x, k: ((-0.5 / root(x),),)), (lambda x, k: ((0.5 / root(x),),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert integrate_many(field, (0.0,), (1.0,), 1.0, jacobian=right, method="explicit").ok
        with pytest.raises(FieldError, match="disagrees"):
            integrate_many(field, (0.0,), (1.0,), 1.0, jacobian=wrong)


def robertson(x, y, z, k):
    r, s = 0.04 * k * x - 1e4 * y * z, 3e7 * y * y
    return (-r, r - s, s)


def robertson_rows(x, y, z, k):
    return (
        (-0.04 * k, 1e4 * z, 1e4 * y),
        (0.04 * k, -1e4 * z - 6e7 * y, -1e4 * y),
        (0.0, 6e7 * y, 0.0),
    )


@pytest.mark.parametrize("start", [(1.0, 0.0, 0.0), (0.9, 2e-5, 0.1), (1e-9, 1e-9, 1e-9)])
def test_a_right_jacobian_passes_at_rates_nine_orders_apart(start) -> None:
    out = integrate_many(robertson, start, (1.0,), 1.0, jacobian=robertson_rows)
    assert out.ok and abs(sum(out.y) - sum(start)) < 1e-6  # what is conserved; 10² rtol


@pytest.mark.parametrize("start", [(0.0, -2e3), (1e-7, 9e3), (1e-3, 1e-8), (5e-10, 0.0)])
def test_a_right_jacobian_passes_where_no_one_step_suits_all_states(start) -> None:
    """A wave of length 0.1 beside a state of thousands; 1 + y² and (10⁶ + y)², which a small y changes in the last digit or not at all."""
    field = lambda x, y: (math.sin(50.0 * x) - y, math.log(1.0 + y * y) + (1e6 + y) ** 2 - 1e12)  # noqa: E731
    rows = lambda x, y: ((50.0 * math.cos(50.0 * x), -1.0), (0.0, 2.0 * y / (1.0 + y * y) + 2.0 * (1e6 + y)))  # noqa: E731
    check_jacobian(field, rows, start, 2)


def sharp(x, v):
    """Friction that changes its sign within 1e-6, and a wave as short."""
    return v + math.sin(1e6 * x), -x - 0.3 * math.tanh(v / 1e-6)


def sharp_rows(x, v, factor=1.0):
    return ((1e6 * math.cos(1e6 * x), 1.0), (-1.0, -0.3e6 * factor * (1.0 - math.tanh(v / 1e-6) ** 2)))


@pytest.mark.parametrize("start", [(1.0, 0.0), (0.5, 0.0), (0.0, 1e-7), (0.5, 1.0), (1e-6, 3e3)])
def test_a_right_jacobian_passes_where_the_field_changes_within_less_than_a_step(start) -> None:
    check_jacobian(sharp, sharp_rows, start, 2)


@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.99, 1.01, 2.0])
def test_a_wrong_one_is_refused_there_too(factor: float) -> None:
    with pytest.raises(FieldError, match=r"disagrees .* row 1, column 1"):
        check_jacobian(sharp, lambda x, v: sharp_rows(x, v, factor), (1.0, 0.0), 2)


def with_entry(i: int, j: int, factor: float):
    """robertson_rows, one of them wrong by a factor."""

    def rows(*z):
        return [
            [m * (factor if (a, b) == (i, j) else 1.0) for b, m in enumerate(r)]
            for a, r in enumerate(robertson_rows(*z))
        ]

    return rows


@pytest.mark.parametrize("entry", [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)])
def test_an_entry_is_judged_however_large_its_neighbours(entry: tuple[int, int]) -> None:
    """0.04 k beside 6e7: from the start, where all others are 0, and from where they are not."""
    for start in ((1.0, 0.0, 0.0), (0.9, 2e-5, 0.1)):
        with pytest.raises(FieldError, match=f"jacobian disagrees .* row {entry[0]}, column {entry[1]} at") as error:
            integrate_many(robertson, start, (1.0,), 1.0, jacobian=with_entry(*entry, 1.01))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("x0", [0.0, 1.0])
def test_a_jacobian_that_is_right_at_the_first_member_alone_is_refused(x0: float) -> None:
    """-k x² and its derivative at x = 0 or at x = 1, with k = 1 or any."""
    for rows in (lambda x, k: ((-2.0 * x0 * k,),), lambda x, k: ((-2.0 * x,),)):
        with pytest.raises(FieldError, match="disagrees"):
            integrate_many(lambda x, k: (-k * x * x,), (x0,), (1.0,), 1.0, jacobian=rows)


def test_a_kink_refuses_no_jacobian() -> None:
    """|x| at x = 0 has no derivative: the slope of either side is one."""
    for slope in (1.0, -1.0):
        rows = lambda x, s=slope: ((1.0 if x > 0 else (-1.0 if x < 0 else s),),)  # noqa: E731
        assert integrate_many(lambda x: (abs(x),), (0.0,), (), 1.0, jacobian=rows).ok


def test_a_jump_from_zero_names_the_tolerance() -> None:
    """x' = 0 until t = 1, then 1: the first step beyond asks for x to a part of atol."""
    jump = lambda t, x: (1.0, 1.0 if t > 1.0 else 0.0)  # noqa: E731
    stuck = integrate_many(jump, (0.0, 0.0), (), 5.0)
    assert not stuck.ok and "raise atol" in stuck.failures()[0]
    out = integrate_many(jump, (0.0, 0.0), (), 5.0, atol=1e-8)
    assert out.ok and abs(out.y[1] - 4.0) < 1e-5  # the remedy; 10³ atol
