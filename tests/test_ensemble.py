"""Compiled ensembles: the same numbers as the plain solver and the closed forms, member by member, whatever stands
beside a member. Each with a wrong theory that must fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mode_cases import MEMBERS, draw, marks, sized

from dynamics import compiled, lanes, modes, phase_sets
from dynamics.ensemble import integrate_many
from dynamics.kernel_source import CONTROLS, memory_rows
from dynamics.kernel_text import rows
from dynamics.solver import integrate

RTOL = 1e-9
GLOBAL = (
    1e3 * RTOL
)  # the suite's law: a global error exceeds the local tolerance by the flow's amplification, below 10³
TIMES = np.array([0.0, 0.7, 2.0, 2.1, 6.0])


def wrong_field(p, w, v, a, c, alpha_p, beta, eta, eta_p):
    """modes.field with the sign of the decay of w flipped."""
    r = c * v - a * p * w
    return alpha_p * w * r - eta_p * p, p * r + eta * w, beta * (w - v)


def member(columns, i: int) -> list[float]:
    return [float(np.broadcast_to(column, (MEMBERS,))[i]) for column in columns]


def by_solver(y, q, i: int):
    """Member i by the plain solver at 1e-10: states at TIMES, event times (NaN: never)."""
    values = member(q, i)

    def velocity(_, state):
        return np.stack(modes.field(*state.T, *values), axis=1)

    found = [lambda state, e=e: marks(*state.T, *values)[e] for e in range(2)]
    out = integrate(velocity, np.array([member(y, i)]), TIMES, events=found)
    return out.y[:, 0], [math.nan if e[0] is None else e[0] for e in out.event_times]


@given(st.integers(0, 10_000), st.sampled_from(("auto", "stiff")))
@settings(max_examples=8)
def test_every_member_agrees_with_the_solver(seed: int, method: str) -> None:
    y, q = draw(seed)
    out = integrate_many(modes.field, y, q, times=TIMES, events=marks, rtol=RTOL, method=method)
    assert out.ok.all() and (out.stiff == (method == "stiff")).all()
    for i in range(MEMBERS):
        states, when = by_solver(y, q, i)
        assert np.abs(out.at[:, i] - states).max() < GLOBAL  # see GLOBAL
        assert np.array_equal(out.at[-1, i], out.y[i])  # the last output time is the end
        values = member(q, i)
        for e in range(2):
            assert np.isnan(out.event_times[i, e]) == np.isnan(when[e])
            if not np.isnan(when[e]):  # an error of the state moves a crossing by error / speed of the event
                j = int(np.searchsorted(TIMES, when[e])) - 1
                assert TIMES[j] <= out.event_times[i, e] <= TIMES[j + 1] + GLOBAL  # see GLOBAL
                speed = abs(modes.field(*crossing(y, values, i, when[e]), *values)[1 - e])
                assert abs(out.event_times[i, e] - when[e]) * speed < GLOBAL  # see GLOBAL


def crossing(y, values, i: int, when: float):
    velocity = lambda _, state: np.stack(modes.field(*state.T, *values), axis=1)  # noqa: E731
    return integrate(velocity, np.array([member(y, i)]), np.array([0.0, when])).y[-1, 0]


def test_a_wrong_field_is_told_apart() -> None:
    y, q = draw(1)
    out = integrate_many(wrong_field, y, q, TIMES[-1], rtol=RTOL)
    errors = [np.abs(out.y[i] - by_solver(y, q, i)[0][-1]).max() for i in range(MEMBERS)]
    assert max(errors) > 1e3 * GLOBAL  # a flipped decay is off by order one, not by rounding


@pytest.mark.parametrize(
    ("kind", "order", "counts"), [("taylor", 9, (50, 65, 80)), ("verner", 7, (6, 9, 12)), ("stiff", 4, (40, 80, 160))]
)
def test_order_of_convergence(kind: str, order: int, counts: tuple[int, ...]) -> None:
    """Fixed steps by hand, through the same kernel: the error falls like h^order."""
    n, m, e = 3, 6, 2
    how = {"taylor": compiled.explicit(modes.field, n, m, True)[1], "verner": "", "stiff": "complex"}[kind]
    advance, begin, *_ = compiled.kernels(kind, modes.field, n, m, marks, e, how)
    y0, q, end, row = [0.6, 0.9, 0.2], [1.3, 1.0, 1.5, 0.8, 0.1, 0.05], 4.0, rows(n, m, e)
    exact = integrate_many(modes.field, y0, q, end, events=marks, rtol=1e-13).y
    errors = []
    for count in counts:
        S = np.zeros(memory_rows(kind, n, m, e, how) * lanes.LANES)
        S[[(row["y"] + j) * lanes.LANES for j in range(n)]] = y0
        S[[(row["q"] + j) * lanes.LANES for j in range(m)]] = q
        S[lanes.T_END * lanes.LANES] = np.inf
        begin(S, 0)
        for _ in range(count):
            S[lanes.H * lanes.LANES] = end / count
            advance(S, 1, np.array([1.0, 1e200, np.inf, np.inf]))  # tolerances that accept every step
        errors.append(np.abs(S[[(row["y"] + j) * lanes.LANES for j in range(n)]] - exact).max())
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.5  # pre-asymptotic bend: half an order


def test_tolerance_is_kept_proportionally() -> None:
    y, q = draw(3)
    exact = integrate_many(modes.field, y, q, 6.0, events=marks, rtol=1e-13).y
    for method in ("explicit", "stiff"):
        error = [np.abs(integrate_many(modes.field, y, q, 6.0, events=marks, rtol=r, method=method).y - exact).max()
                 for r in (1e-5, 1e-7, 1e-9)]  # fmt: skip
        assert error[0] < 1e-2 and error[1] < 1e-4 and error[2] < 1e-6  # 10³ rtol, see GLOBAL


def decay(x, rate):
    return (-rate * x,)


def decay_of_the_size(x, rate):
    """The same for x > 0, but no rational function."""
    return (-rate * abs(x),)


@pytest.mark.parametrize("field", [decay, decay_of_the_size])
def test_every_member_ends_at_its_own_end_to_the_bit(field) -> None:
    """From a first step, a part of 1 / rate, to the end in one more: t + (end - t) is an ulp beyond the end for some of 500."""
    rng = np.random.default_rng(1)
    part = CONTROLS[compiled.explicit(field, 1, 1, False)[0]].first
    rate, ends = rng.uniform(0.9, 1.1, 500), part * rng.uniform(2.5, 4.0, 500)
    first = part / rate
    assert (first + (ends - first) > ends).any()  # so that the plain sum would be seen
    out = integrate_many(field, (1.0,), (rate,), ends, rtol=1e-3)
    assert (out.tries == 2).all() and np.array_equal(out.t, ends)


def test_no_member_depends_on_its_neighbours() -> None:
    """Bit for bit: alone, in any order, beside a stiff member and a failing one; on one thread or three."""
    y, q = draw(5, 100)
    q = [np.broadcast_to(column, (100,)).copy() for column in q]
    before = integrate_many(modes.field, y, q, 6.0, events=marks)
    q[3][40], y[0][41] = 1e5, np.nan  # beta: stiff; p(0): not a number
    after = integrate_many(modes.field, y, q, 6.0, events=marks, threads=3)
    others = np.delete(np.arange(100), [40, 41])
    assert np.array_equal(before.y[others], after.y[others])
    assert np.array_equal(before.tries[others], after.tries[others])
    assert np.array_equal(before.event_times[others], after.event_times[others], equal_nan=True)
    assert after.stiff[40] and not after.stiff[others].any()
    assert after.status[41] == lanes.NOT_FINITE and after.ok.sum() == 99
    assert "(first: (41,))" in after.failures()[0]
    order = np.random.default_rng(0).permutation(100)
    shuffled = integrate_many(modes.field, [c[order] for c in y], [c[order] for c in q], 6.0, events=marks)
    assert np.array_equal(shuffled.y, after.y[order], equal_nan=True)


@pytest.mark.parametrize("field", [modes.field, sized])
@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-7, 1e-10])
def test_stiff_members_are_found_and_cost_little(field, rtol: float) -> None:
    y, q = draw(7, 50, stiffness=1000.0)
    auto = integrate_many(field, y, q, 6.0, rtol=rtol)
    explicit = integrate_many(field, y, q, 6.0, rtol=rtol, method="explicit")
    assert auto.stiff.all() and auto.ok.all() and explicit.ok.all() and not explicit.stiff.any()
    assert np.abs(auto.y - explicit.y).max() < 2e3 * rtol  # 10³ rtol for each of the two
    if rtol > 1e-8:  # below it RODAS, of order 4, has its own small steps
        assert (explicit.tries > 5 * auto.tries).all()  # an explicit step is held below 4.7 / 1000
    mild = integrate_many(field, *draw(7, 50), 6.0, rtol=rtol)
    assert not mild.stiff.any()


def test_gauge_and_rescaling() -> None:
    """(alpha_p, w, v) ~ (1, √alpha_p w, √alpha_p v); p = (c/a) x, t = (a/c²) θ leaves h = eta a/c² and b = beta a/c²."""
    (p, w, v), (a, c, alpha_p, beta, eta, _) = draw(9)
    q = (a, c, alpha_p, beta, eta, eta)
    full = integrate_many(modes.field, (p, w, v), q, 5.0, events=marks, rtol=RTOL)
    g, unit = np.sqrt(alpha_p), a / c
    scaled = integrate_many(
        modes.field, (unit * p, unit * g * w, unit * g * v),
        (1.0, 1.0, 1.0, beta * a / c**2, eta * a / c**2, eta * a / c**2), 5.0 * c**2 / a, events=marks, rtol=RTOL,
    )  # fmt: skip
    back = scaled.y / np.stack([unit, unit * g, unit * g], axis=1)
    assert np.abs(back - full.y).max() < GLOBAL  # two integrations, each at RTOL
    without = scaled.y / np.stack([unit, unit, unit], axis=1)
    assert np.abs(without - full.y).max() > 1e3 * GLOBAL  # a forgotten gauge is off by order one


def test_parabola_closed_form() -> None:
    """phase_sets.online at h = 0 on x = y: Wright's omega of modes.parabola_solution."""
    p0, times = np.array([0.05, 0.4, 0.9, 1.5]), np.array([0.5, 3.0, 20.0])
    out = integrate_many(
        phase_sets.online,
        (p0, p0),
        (0.0, 1e-3),
        times=times,
        events=phase_sets.online_sets,
        stop=(False, False),
        rtol=RTOL,
    )
    exact = modes.parabola_solution(p0, 1.0, 1.0, times)
    assert np.abs(out.at[..., 0] - exact).max() < GLOBAL  # see GLOBAL
    assert (
        np.abs(out.at[..., 0] - modes.parabola_solution(p0, 1.1, 1.0, times)).max() > 1e3 * GLOBAL
    )  # another a is not
