"""Compiled ensembles at hard points, each method against scipy's LSODA: rates over five decades, starts of either sign.

The law of every tolerance here is LAW: over 40,000 such members the worst error of a state, relative to the member's largest,
was 11 rtol, by any method at rtol 1e-4, 1e-6 and 1e-9; mild members are held to 10³ rtol elsewhere.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mode_cases import by_lsoda, hard, marks, sized

from dynamics import compiled, modes, phases
from dynamics.ensemble import integrate_many

LAW = 20.0  # of rtol: see the head
TIMES = np.array([0.0, 0.01, 0.7, 2.0, 6.0, 20.0])
MEMBERS = 12
METHODS = {  # as they are reported -> a field that takes it, and how it is asked for
    "taylor": (modes.field, "explicit"),
    "verner": (sized, "explicit"),
    "stiff": (modes.field, "stiff"),
    "differences": (sized, "stiff"),
    "auto": (modes.field, "auto"),
    "auto, from verner": (sized, "auto"),
}
points = given(
    st.integers(0, 10**6), st.sampled_from(((-2.0, 3.0), (2.0, 3.0))), st.sampled_from((1e-4, 1e-6, 1e-9))
)  # seed, decades of alpha_p and beta, rtol


def test_the_names_are_those_of_the_methods() -> None:
    assert [compiled.explicit(METHODS[name][0], 3, 6, True)[0] for name in ("taylor", "verner")] == ["taylor", "verner"]
    assert compiled.jacobian_kind(METHODS["stiff"][0], 3, 6) == "complex"
    assert compiled.jacobian_kind(METHODS["differences"][0], 3, 6) == "differences"


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=12)
@points
def test_states_are_those_of_scipy(name: str, seed: int, decades: tuple[float, float], rtol: float) -> None:
    (field, method), (y0, q) = METHODS[name], hard(seed, MEMBERS, decades)
    out = integrate_many(field, y0.T, q.T, times=TIMES, rtol=rtol, method=method)
    assert out.ok.all()
    for i in range(MEMBERS):
        exact = by_lsoda(y0[i], q[i], TIMES)
        assert (np.abs(out.at[:, i] - exact) <= LAW * rtol * np.abs(exact).max(1, keepdims=True)).all()  # see LAW


@pytest.mark.parametrize("name", ["taylor", "verner", "stiff", "auto"])
@settings(max_examples=12)
@points
def test_events_are_those_of_scipy(name: str, seed: int, decades: tuple[float, float], rtol: float) -> None:
    """At the time that is found scipy's event is 0, and before it of the sign it began with; where none is found, to the end."""
    (field, method), (y0, q) = METHODS[name], hard(seed, MEMBERS, decades)
    out = integrate_many(field, y0.T, q.T, TIMES[-1], events=marks, rtol=rtol, method=method)
    for i, found in enumerate(out.event_times):
        t = np.unique(np.concatenate([[0.0], np.geomspace(1e-3, TIMES[-1], 60), found[np.isfinite(found)]]))
        y = by_lsoda(y0[i], q[i], t)
        room = LAW * rtol * np.abs(y).max(1)  # see LAW
        for when, event in zip(found, marks(*y.T, *q[i]), strict=True):
            assert np.isnan(when) or (np.abs(event) <= 2 * room)[t == when].all()  # of two states at most
            before = t < (np.inf if np.isnan(when) else when)
            assert ((np.sign(event) == np.sign(event[0])) | (np.abs(event) <= 2 * room))[before].all()


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.booleans())
def test_phases_are_those_of_scipy(seed: int, ema: bool) -> None:
    """The end that LSODA comes to, from the start and not from the label's time; and a collapse is dated by its own state."""
    y0, q = hard(seed, MEMBERS, (-2.0, 3.0))
    a, c, alpha_p, beta = q.T[:4]
    rng = np.random.default_rng((seed, 1))  # a stream of its own, or h would follow p(0)
    h, y = 10 ** rng.uniform(-2.0, -0.5, MEMBERS), 10 ** rng.uniform(-4.0, 0.3, MEMBERS)  # from far below phases.LEVEL
    eta, tau0 = h * c**2 / a, y0[:, 2] / y0[:, 1]
    y0[:, 1] = c / a * y / np.sqrt(alpha_p)
    y0[:, 2], q[:, 4], q[:, 5] = tau0 * y0[:, 1], eta, eta
    out = phases.classify(y0[:, 0], y0[:, 1], a=a, c=c, alpha_p=alpha_p, eta=eta, beta=beta if ema else None, tau0=tau0)
    goal = modes.fixed_points(a, c, eta).p_plus
    for i in range(MEMBERS):
        if not ema:  # a target that follows at once: within 1e-7 of the online one
            y0[i, 2], q[i, 3] = y0[i, 1], 1e7
        wait = 60.0 / min(eta[i], q[i, 3]) / max(np.sqrt(abs(1 - 4 * h[i])), 1e-2)  # e^-60: at rest
        dated, last = by_lsoda(y0[i], q[i], np.array([0.0, out.time[i], out.time[i] + wait]))[1:]
        unit = a[i] / c[i] * np.array([1.0, np.sqrt(alpha_p[i])])
        if out.end[i] == phases.COLLAPSE:
            assert (unit * np.abs(last[:2])).max() < 1e-3  # p+ is 0.5 or more
            most = phases.LEVEL * (1 + 1e3 * phases.RTOL) + 1e-7  # 10³ rtol, and the lag
            assert unit[1] * abs(dated[1]) < most
        else:
            assert abs(last[0] / goal[i] - 1) < 1e-3  # p = 0 is 1 away


@pytest.mark.parametrize("field", [modes.field, sized])
def test_a_change_of_method_costs_no_digits(field) -> None:
    """At rest on its slow states when it is found stiff, a member began RODAS with one step to the end, which no estimate told."""
    y0, q = hard(0, 2000, (2.0, 3.0))
    exact = integrate_many(modes.field, y0.T, q.T, times=TIMES, rtol=1e-13, method="explicit").at

    def most(method: str) -> float:
        """The 99 % quantile of the members' errors."""
        out = integrate_many(field, y0.T, q.T, times=TIMES, rtol=1e-6, method=method)
        assert (out.stiff == (method != "explicit")).all()
        return float(np.quantile((np.abs(out.at - exact).max(2) / np.abs(exact).max(2)).max(0), 0.99))

    assert most("auto") < most("explicit") + most("stiff")  # its error is a part of the one's and a part of the other's


def test_rates_beyond_those_whose_ninth_powers_are_numbers_fail_and_say_so() -> None:
    """Within 1e±30 nothing changes with the unit of time; far beyond, a member fails in a sentence that names the remedy."""
    unit = np.array([1e-45, 1e-30, 1.0, 1e30, 1e40])
    out = integrate_many(lambda x, r: (r * x * (1.0 - x),), (0.1,), (unit,), 3.0 / unit, max_tries=100)
    assert list(out.ok) == [False, True, True, True, False]
    assert np.ptp(out.y[1:4]) < 1e-14  # the same numbers but for rounding
    assert len(out.failures()) == 2 and all("beyond 1e±30" in says and "other units" in says for says in out.failures())
