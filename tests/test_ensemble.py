"""Compiled ensembles: the same numbers as the plain solver and the closed forms, member by member, whatever stands
beside a member; failures said per member; phases by proven sets. Each with a wrong theory that must fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics import compiled, lanes, modes, phases
from dynamics.basin import collapses
from dynamics.ensemble import FieldError, integrate_many
from dynamics.fingerprint import fingerprint
from dynamics.kernel_source import CONTROLS, memory_rows
from dynamics.kernel_text import rows
from dynamics.solver import integrate
from tests.mode_cases import jacobian, marks, sized

RTOL = 1e-9
GLOBAL = (
    1e3 * RTOL
)  # the suite's law: a global error exceeds the local tolerance by the flow's amplification, below 10³
TIMES = np.array([0.0, 0.7, 2.0, 2.1, 6.0])
MEMBERS = 8


def wrong_field(p, w, v, a, c, alpha_p, beta, eta, eta_p):
    """modes.field with the sign of the decay of w flipped."""
    r = c * v - a * p * w
    return alpha_p * w * r - eta_p * p, p * r + eta * w, beta * (w - v)


def draw(seed: int, members: int = MEMBERS, stiffness: float = 1.0):
    rng = np.random.default_rng(seed)
    p, w, tau = rng.uniform(-0.3, 1.0, members), rng.uniform(0.1, 1.0, members), rng.uniform(0.0, 1.0, members)
    rates = stiffness * rng.uniform(0.5, 2.0, members), stiffness * rng.uniform(0.2, 2.0, members)
    return (p, w, tau * w), (1 + rng.uniform(0, 1, members), 0.8, *rates, rng.uniform(0, 0.2, members), 0.05)


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
    """phases.online at h = 0 on x = y: Wright's omega of modes.parabola_solution."""
    p0, times = np.array([0.05, 0.4, 0.9, 1.5]), np.array([0.5, 3.0, 20.0])
    out = integrate_many(
        phases.online, (p0, p0), (0.0, 1e-3), times=times, events=phases.online_sets, stop=(False, False), rtol=RTOL
    )
    exact = modes.parabola_solution(p0, 1.0, 1.0, times)
    assert np.abs(out.at[..., 0] - exact).max() < GLOBAL  # see GLOBAL
    assert (
        np.abs(out.at[..., 0] - modes.parabola_solution(p0, 1.1, 1.0, times)).max() > 1e3 * GLOBAL
    )  # another a is not


# -- fields of a user ------------------------------------------------------------------------------------------------


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


# -- phases ------------------------------------------------------------------------------------------------------------


def test_phases_on_the_parabola_are_the_roots() -> None:
    eta, p0 = np.linspace(0.004, 0.3, 60)[None, :], np.linspace(0.01, 1.2, 60)[:, None]
    out = phases.classify(p0, p0 / np.sqrt(2.0), a=1.25, alpha_p=2.0, eta=eta)
    p_minus = modes.fixed_points(1.25, 1.0, eta).p_minus
    expected = np.where(np.isnan(p_minus) | (p0 < p_minus), phases.COLLAPSE, phases.SURVIVAL)
    assert np.array_equal(out.end, expected)
    exact = phases.collapse_time(p0, 1.25, 1.0, eta)
    lost = (
        (out.end == phases.COLLAPSE) & (p_minus / 2 > 1e-3 / 1.25) & (p0 > 1e-3 / 1.25)
    )  # else the set is entered later
    assert lost.any() and np.isnan(exact[out.end == phases.SURVIVAL]).all()
    near = np.abs(p0 - p_minus) > 1e-2  # within a hundredth of the saddle errors grow past 10³ rtol
    assert (np.abs(out.time / exact - 1)[lost & near] < 1e3 * phases.RTOL).all()  # 10³ rtol
    assert (
        np.abs(out.time / phases.collapse_time(p0, 1.25, 1.0, 1.01 * eta) - 1)[lost & near] > 1e-3
    ).all()  # eta off by 1 %


def test_collapse_just_beyond_the_threshold_is_slow() -> None:
    """T √(eta/eta_c - 1) -> 4 π a/c²: a label read off at a finite time is wrong there."""
    a, c, ratio = 1.25, 0.9, np.array([1e-4, 1e-6])
    eta = c**2 / (4 * a) * (1 + ratio)
    out = phases.classify(0.9, 0.9, a=a, c=c, eta=eta)
    law = phases.bottleneck_time(a, c, eta)
    error = np.abs(out.time / law - 1)
    assert (out.end == phases.COLLAPSE).all()
    assert (error < 10 * np.sqrt(ratio)).all()  # what the bottleneck leaves out is O(1), against 1/√ratio
    assert error[1] < error[0] / 5  # ... so it falls tenfold; a wrong constant would stay
    assert np.isclose(out.time, phases.collapse_time(0.9, a, c, eta), rtol=1e-4).all()  # amplified by 1/√ratio


@given(st.floats(-0.6, 1.2), st.floats(0.01, 1.2), st.sampled_from((0.02, 0.1, 0.2, 0.3)), st.sampled_from((0.5, 3.0)))
@settings(max_examples=12)
def test_phases_off_the_parabola_agree_with_the_basin(p0: float, w0: float, h: float, alpha_p: float) -> None:
    a, c = 1.25, 0.8
    eta = h * c**2 / a
    out = phases.classify(p0, w0, a=a, c=c, alpha_p=alpha_p, eta=eta)
    assert (out.end == phases.COLLAPSE) == collapses(p0, w0, a, c, alpha_p, eta)


def test_the_parabolas_rule_is_wrong_off_it() -> None:
    """p0 < p- is the paper's rule for collapse; above the parabola such starts survive."""
    out = phases.classify(0.1, 1.0, a=1.25, eta=0.1)
    assert modes.fixed_points(1.25, 1.0, 0.1).p_minus > 0.1 and out.end == phases.SURVIVAL


def test_phases_without_decay_follow_from_the_conserved_quantity() -> None:
    p0 = np.array([0.2, -0.2, 0.2, -0.2, -0.5, 1.2, 2.0])
    w0 = np.array([0.5, 0.5, 0.2, 0.2, 0.1, 1.0, 0.5])  # D = w0² - p0²: above, above, on, on, below, below, far below
    out = phases.classify(p0, w0)
    assert list(out.end) == [1, 1, 1, 0, 0, 1, 0]
    late = integrate_many(phases.online, (p0, w0), (0.0, 1e-3), 2e4, events=phases.online_sets, stop=(False, False))
    assert np.array_equal(late.y[:, 1] > 1e-2, out.end == 1)  # algebraic at the slowest: w(2e4) = 5e-5


@pytest.mark.parametrize("method", ["explicit", "stiff"])
def test_a_step_that_overflows_is_no_step(method: str) -> None:
    """x' = c, without an error of its own: over the infinite scale of x = inf a step beyond the largest number would pass."""
    flat = lambda x, c: ((0.0,),)  # noqa: E731
    out = integrate_many(lambda x, c: (c,), (1e305,), (1e305,), 1e4, jacobian=flat, method=method)
    assert out.status == lanes.TOO_SMALL and np.isfinite(out.y).all()
    # x = 1e305 (1 + t) passes the largest number, 1.797e308, at 1796.7, and |x| + |x'| does at 1795.7
    assert 1790 < out.t < 1797  # the latter, and the last step before it


def test_starts_beside_the_saddle_are_decided() -> None:
    """Starts beside the saddle, where the step grows until one overflows: over an infinite scale its error would be nothing."""
    p0 = np.array([0.26860610610610614, 0.3475225225225225, 0.37134634634634633])
    h = np.array([0.19628378378378375, 0.2269144144144144, 0.2332957957957958])
    out = phases.classify(p0, p0, eta=h)
    assert out.run.ok.all() and (out.end != phases.UNDECIDED).all()


def inside(sets, states, parameters, which: int):
    return sets(*states, *parameters)[which] < 0


def test_the_sets_lie_in_their_basins() -> None:
    """Their Lyapunov functions fall inside, at random points; the survival set made forty times as wide fails."""
    rng = np.random.default_rng(0)
    h, b = rng.uniform(0.02, 0.24, 4000), 10 ** rng.uniform(-1.5, 1.5, 4000)
    Q = np.array(phases.survival_form(h, b))
    X = 0.5 + np.sqrt(0.25 - h)
    matrix = Q[[0, 1, 2, 1, 3, 4, 2, 4, 5]].T.reshape(-1, 3, 3)
    unit = rng.standard_normal((4000, 3))
    unit /= np.sqrt(np.einsum("ni,nij,nj->n", unit, matrix, unit))[:, None]

    def rise(radius: float):
        delta = radius * unit
        velocity = np.stack(phases.ema(*(delta.T + X), h, b, 1e-3, *Q), axis=1)
        return 2 * np.einsum("ni,nij,nj->n", velocity, matrix, delta)

    assert all((rise(r) < 0).all() for r in (0.1, 0.5, 0.999))
    assert (rise(40.0) > 0).any()  # a set without the radius' bound is no basin
    small = rng.standard_normal((4000, 3))
    L = lambda s: s[:, 0] ** 2 + s[:, 1] ** 2 + h / b * s[:, 2] ** 2  # noqa: E731
    small *= (0.499 * h / np.sqrt(L(small)))[:, None]
    velocity = np.stack(phases.ema(*small.T, h, b, 1e-3, *Q), axis=1)
    falls = small[:, 0] * velocity[:, 0] + small[:, 1] * velocity[:, 1] + h / b * small[:, 2] * velocity[:, 2]
    assert (falls < 0).all()


def test_phases_with_an_ema_target() -> None:
    """The boundary moves with the target's start, and the labels are those of a long plain integration."""
    p0, eta = np.linspace(0.05, 0.9, 12), 0.12
    out = {tau: phases.classify(p0, p0, a=1.25, eta=eta, beta=0.3, tau0=tau) for tau in (0.0, 1.0)}
    assert (out[0.0].end == phases.COLLAPSE).sum() > (out[1.0].end == phases.COLLAPSE).sum()
    for tau, found in out.items():
        for i in (0, 11):
            velocity = lambda _, y: np.stack(modes.field(*y.T, 1.25, 1.0, 1.0, 0.3, eta, eta), axis=1)  # noqa: E731
            last = integrate(velocity, np.array([[p0[i], p0[i], tau * p0[i]]]), np.array([0.0, 200.0])).y[-1, 0]
            assert (last[1] < 1e-6) == (found.end[i] == phases.COLLAPSE)  # e^{-eta 200} = 4e-11 after the decision
    with pytest.raises(FieldError, match="need weight decay"):
        phases.classify(p0, p0, eta=0.0, beta=0.3)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"a": 0.0}, "a must be positive"), ({"eta": -0.1}, "eta must not be"), ({"p0": np.nan}, "not finite"),
     ({"beta": 0.0}, "beta must be positive")],
)  # fmt: skip
def test_phases_refuse_bad_input(change: dict, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        phases.classify(**({"p0": 0.1, "w0": 0.1, "eta": 0.1} | change))
