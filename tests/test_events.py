"""Events: when they count, at the start, at the end and where they are no numbers, and how well their roots are found."""

from __future__ import annotations

import numpy as np
import pytest

from dynamics import lanes
from dynamics.ensemble import integrate_many
from dynamics.solver import integrate

METHODS = ["explicit", "stiff"]


def decay(x):
    return (-x,)


def leaving(x):
    """Both 0 at x = 1, one falls and one rises; the third is 0 at t = log 2."""
    return x - 1.0, 1.0 - x, x - 0.5


@pytest.mark.parametrize("method", METHODS)
def test_it_counts_at_the_start_as_in_the_solver(method: str) -> None:
    starts = np.array([1.0, 2.0, 0.25])
    out = integrate_many(decay, (starts,), (), 3.0, events=leaving, rtol=1e-10, method=method)
    events = [lambda y, e=e: np.asarray(leaving(y[:, 0])[e]) for e in range(3)]
    plain = integrate(lambda _, y: -y, starts[:, None], np.array([0.0, 3.0]), events=events)
    by_solver = np.array(plain.event_times, dtype=float).T  # None, never, becomes NaN
    assert np.allclose(out.event_times, by_solver, rtol=0, atol=1e-7, equal_nan=True)  # 10³ rtol
    assert np.array_equal(out.event_times[0, :2], [0.0, 0.0]) and out.ok.all()  # to the bit: no root was sought


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("which", [0, 1])
def test_a_terminal_one_ends_the_member_there(method: str, which: int) -> None:
    stop = [e == which for e in range(3)]
    starts = np.array([1.0, 2.0])
    out = integrate_many(decay, (starts,), (), times=[0.0, 0.1, 3.0], events=leaving, stop=stop, method=method)
    assert list(out.status) == [lanes.STOPPED, lanes.STOPPED] and out.t[0] == 0.0 and out.y[0, 0] == 1.0
    assert out.at[0, 0, 0] == 1.0 and np.isnan(out.at[1:, 0]).all()  # nothing happens beyond where it stopped
    assert out.tries[0] == 0 and abs(out.t[1] - np.log(2.0)) < 1e-5  # the other from 2 to 1; 10³ rtol


def test_the_next_member_takes_the_lane_of_one_that_ended_at_its_start() -> None:
    starts = np.where(np.arange(500) % 2, 2.0, 1.0)  # more than there are lanes
    out = integrate_many(decay, (starts,), (), 3.0, events=leaving, stop=(True, False, False))
    assert np.array_equal(out.t == 0.0, starts == 1.0) and (out.status == lanes.STOPPED).all()


@pytest.mark.parametrize("method", METHODS)
def test_it_counts_at_the_start_where_nothing_is_to_be_integrated(method: str) -> None:
    starts, ends = [1.0, 1.0, np.nan], [0.0, 1.0, 0.0]
    for stop in (False, True):
        out = integrate_many(decay, (starts,), (), ends, events=leaving, stop=(stop, False, False), method=method)
        assert np.array_equal(out.event_times[0], [0.0, 0.0, np.nan], equal_nan=True) and out.event_times[1, 0] == 0.0
        assert list(out.status) == [lanes.STOPPED if stop else lanes.DONE] * 2 + [lanes.NOT_FINITE]
        assert out.t[0] == 0.0 and out.y[0, 0] == 1.0 and out.tries[0] == 0


def test_it_counts_at_the_only_time_of_the_solver_as_in_the_lanes() -> None:
    starts = np.array([1.0, 2.0, 0.5])
    out = integrate_many(decay, (starts,), (), 0.0, events=leaving)
    events = [lambda y, e=e: np.asarray(leaving(y[:, 0])[e]) for e in range(3)]
    plain = integrate(lambda _, y: -y, starts[:, None], np.zeros(1), events=events)
    assert plain.event_times == ((0.0, None, None), (0.0, None, None), (None, None, 0.0))
    assert np.array_equal(out.event_times, np.array(plain.event_times, dtype=float).T, equal_nan=True)


@pytest.mark.parametrize("method", METHODS)
def test_terminal_ones_at_the_same_time_count_both(method: str) -> None:
    """But nothing that comes later, also where an earlier one is found last."""
    events = lambda x: (x - 0.5, x - 0.5, x - 0.25, 0.55 - x)  # noqa: E731
    late = integrate_many(decay, (1.0,), (), 3.0, events=events, stop=(True, True, True, False), method=method)
    assert late.event_times[0] == late.event_times[1] == late.t and np.isnan(late.event_times[2])
    assert late.event_times[3] < late.t and abs(late.t - np.log(2.0)) < 1e-5  # 10³ rtol
    early = integrate_many(decay, (1.0,), (), 3.0, events=events, stop=(True,) * 4, method=method)
    assert early.event_times[3] == early.t and np.isnan(early.event_times[:3]).all()


def clock(t):
    return (1.0,)


def clock_by_stages(t):
    """The same by a method without a formula for states within steps."""
    return (np.exp(0.0 * t),)


def awkward(t):
    """Each is first 0 at t = 0.37: of many orders within a step, a jump, flat at the root, kinked, and 0 from there on."""
    s = t - 0.37
    return (
        np.exp(-160.0 * s) - 1.0, 1.0 - np.exp(160.0 * s), 1.0 if s > 0.0 else -1.0, s * s * s, -(s**9), 1e-300 * s, 1e300 * s,
        s if s < 0.0 else 1e9 * s, max(-s, 0.0),
    )  # fmt: skip


@pytest.mark.parametrize("field", [clock, clock_by_stages])
@pytest.mark.parametrize("method", METHODS)
def test_roots_are_found_however_the_event_falls(field, method: str) -> None:
    """One long step; the first was reported at the end of it."""
    out = integrate_many(field, (0.0,), (), 3.0, events=awkward, method=method)
    assert out.ok.all() and out.steps < 100
    assert np.abs(out.event_times - 0.37).max() < 3e-9  # ROOT_TOLERANCE, 1e-10, of steps up to 3 long, ten times


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("field", [clock, clock_by_stages])
def test_one_that_becomes_0_at_the_end_counts_there_from_either_side(field, stop: bool) -> None:
    out = integrate_many(field, (0.0,), (), 1.0, events=lambda t: (t - 1.0, 1.0 - t), stop=(False, stop))
    assert out.y[0] == 1.0  # to the bit, else there would be nothing to find
    assert np.array_equal(out.event_times, [1.0, 1.0])
    assert out.status == (lanes.STOPPED if stop else lanes.DONE)


@pytest.mark.parametrize("method", METHODS)
def test_one_that_ceases_to_be_a_number_has_no_root_there(method: str) -> None:
    """From 0.5 the state falls below 0 at t = 0.5, where the square root, 1 below its level, becomes NaN."""
    out = integrate_many(lambda x: (-1.0,), (0.5,), (), 1.0, events=lambda x: (np.sqrt(x) - 1.0,), method=method)
    assert out.ok.all() and np.isnan(out.event_times).all()


def gaps(t):
    """No numbers from 0.5 on; none before 0.5; none for some steps, later 0 at t = 0.8; none where it changes its sign; 0
    throughout; 0, then none."""
    nan = np.nan
    return (
        1.0 if t < 0.5 else nan, nan if t < 0.5 else 1.0, nan if 5e-4 < t < 0.05 else t - 0.8,
        nan if 0.3 < t < 0.6 else t - 0.45, 0.0 * t, 0.0 if t == 0.0 else nan,
    )  # fmt: skip


@pytest.mark.parametrize("field", [clock, clock_by_stages])
@pytest.mark.parametrize("alone", range(6))
def test_what_is_no_number_never_counts_in_the_lanes_or_the_solver(field, alone: int) -> None:
    """The solver took NaN for the other sign, or ended in an error of scipy's."""
    expected = [np.nan, np.nan, 0.8, np.nan, 0.0, 0.0]
    out = integrate_many(field, (0.0,), (), 1.0, events=gaps)
    assert np.allclose(out.event_times, expected, rtol=0, atol=1e-9, equal_nan=True)  # ten times ROOT_TOLERANCE
    event = lambda y: np.array([gaps(t)[alone] for t in y[:, 0]])  # noqa: E731
    plain = integrate(lambda _, y: np.ones_like(y), np.zeros((1, 1)), np.array([0.0, 1.0]), events=[event])
    found = np.array(plain.event_times, dtype=float)[0]  # None, never, becomes NaN
    assert np.allclose(found, expected[alone], rtol=0, atol=1e-9, equal_nan=True)  # xtol 1e-12, and rounding


def falling(_, y):
    return -np.ones_like(y)


def test_an_event_of_the_solver_may_leave_the_range_of_its_formula() -> None:
    """√x of a state that falls below 0: no warning, which here is an error."""
    event = lambda y: np.sqrt(y[:, 0]) - np.sqrt(0.45)  # noqa: E731
    out = integrate(falling, np.array([[0.5]]), np.array([0.0, 1.0]), events=[event])
    assert np.allclose(out.event_times, 0.05, rtol=0, atol=1e-9)  # xtol 1e-12, and rounding


def test_an_events_own_error_is_not_taken_for_a_missing_number() -> None:
    def broken(y):
        if abs(y[0, 0] - 0.2) < 1e-3:  # near its root; no step ends there
            raise ValueError("mine")
        return y[:, 0] - 0.2

    with pytest.raises(ValueError, match="mine"):
        integrate(falling, np.array([[0.5]]), np.array([0.0, 1.0]), events=[broken])
