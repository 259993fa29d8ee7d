"""Fields against closed forms, conservation laws, gauges and equivariance; each with a wrong theory that must fail."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from strategies import settings

from dynamics import invariance, modes, predictor
from dynamics.setting import GaussianViews, ImageViews, Network, Objective, Setting, SettingError, Training
from dynamics.simulate import NoClosedForm, exact, flow, flow_batch
from dynamics.solver import RTOL, SolverError, integrate
from dynamics.start import start
from dynamics.views import moments

GLOBAL = 1e3 * RTOL  # a global error may exceed the local tolerance by the flow's amplification, below 10³ here


def distance(a, b) -> float:
    return float(np.abs(a - b).max())


@given(settings(loss="invariance", objective__target="online"))
def test_invariance_closed_form_is_the_flow(setting: Setting) -> None:
    assert distance(exact(setting)["W"], flow(setting)["W"]) < GLOBAL  # 10³ rtol: design's law of the exact rung


def test_a_wrong_closed_form_is_told_apart() -> None:
    setting = Setting(objective=Objective(loss="invariance"))
    run, m = flow(setting), moments(setting)
    wrong = invariance.closed_form(run["W"][0, 0], m.S / 2, run.t)
    assert distance(wrong, run["W"][0]) > 1e3 * GLOBAL  # half the rate is off by order one, not by rounding


@given(st.integers(0, 20), st.sampled_from((0.2, 0.9, 2.5)), st.sampled_from((0.5, 1.0, 2.0)))
def test_parabola_closed_form_is_the_flow(seed: int, w0: float, alpha_p: float) -> None:
    setting = Setting(
        views=GaussianViews((1.0, 0.5, 0.75), (0.25, 0.0, 0.5)), network=Network(k=3, start="parabola", w0=w0),
        training=Training(t_end=20.0, alpha_p=alpha_p), seed=seed,
    )  # fmt: skip
    assert distance(exact(setting)["P"], flow(setting)["P"]) < GLOBAL  # 10³ rtol, also from above the fixed point


NEARLY = GaussianViews((1.0, 1.0 + 5e-6), (0.1, 0.6), angle=0.6)  # ‖[A, C]‖ = 1e-6 ‖A‖ ‖C‖
TINY = GaussianViews((1e-7, 0.5e-7), (1e-8, 6e-8), angle=0.6)  # commutes as little as moments of order one
TWISTED = GaussianViews((1.0, 0.5), (0.1, 0.6), twist=1e-7)  # C is not symmetric by 1e-7


@pytest.mark.parametrize(
    "setting",
    [
        Setting(),
        Setting(NEARLY, Network(start="parabola")),
        Setting(TINY, Network(start="parabola")),
        Setting(TWISTED, objective=Objective(predictor="none")),
    ],
)
def test_closed_form_is_refused_where_none_is_known(setting: Setting) -> None:
    with pytest.raises(NoClosedForm, match="use the flow rung"):
        exact(setting)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_closed_form_is_known_whatever_the_scale_of_the_moments(scale: float) -> None:
    views = GaussianViews(
        (scale, 0.5 * scale), (0.25 * scale,) * 2, angle=0.6
    )  # isotropic noise: A, C commute to rounding
    setting = Setting(views, Network(start="parabola", w0=0.1), training=Training(t_end=4.0 / scale))
    assert exact(setting).facts["method"] == "closed form"


@given(settings(objective__target="online"))
def test_balance_is_conserved(setting: Setting) -> None:
    assert flow(setting).facts["drift"]["balance"] < GLOBAL  # Theorem 1 holds exactly; what drifts is the integrator


def test_balance_without_alpha_p_is_not_conserved() -> None:
    setting = Setting(training=Training(alpha_p=2.5, eta=0.1))
    run = flow(setting)
    W, P = run["W"][0], run["P"][0]
    gap = predictor.balance(W, P, 1.0) - np.exp(-0.2 * run.t)[:, None, None] * predictor.balance(W[0], P[0], 1.0)
    assert np.abs(gap).max() > 1e3 * GLOBAL  # dropping alpha_p (the supplement's misprint) breaks the law at order one


@given(settings(), st.sampled_from((0.25, 4.0)))
def test_alpha_p_is_a_gauge(setting: Setting, alpha_p: float) -> None:
    """(alpha_p, W, V) and (1, √alpha_p W, √alpha_p V) have the same P(t): the flow field maps onto itself."""
    m = moments(setting)
    W, P, _ = start(setting)
    V, g = 0.5 * W, np.sqrt(alpha_p)
    dW, dP = predictor.field(W, P, V, m.A, m.C, alpha_p, 0.1, 0.1)
    dW1, dP1 = predictor.field(g * W, P, g * V, m.A, m.C, 1.0, 0.1, 0.1)
    assert distance(g * dW, dW1) < 1e-13 and distance(dP, dP1) < 1e-13  # algebra: rounding only


@given(st.sampled_from((0.1, 0.2)), st.sampled_from((0.5, 1.7)), st.sampled_from((0.6, 1.0)))
def test_weight_decay_has_one_dimensionless_number(h: float, a: float, c: float) -> None:
    """h = eta a/c², p = (c/a) x, t = (a/c²) θ: p' = p²(c - a p) - eta p becomes x' = x²(1 - x) - h x."""
    x = np.linspace(0.1, 1.5, 8)
    eta = h * c * c / a
    left = modes.parabola_field(c / a * x, a, c, eta) / (c / a) * (a / c**2)
    assert distance(left, x * x * (1 - x) - h * x) < 1e-14  # algebra: rounding only


@given(st.integers(0, 10), st.sampled_from(("online", "ema")))
def test_modes_reduce_the_matrix_flow(seed: int, target: str) -> None:
    setting = Setting(
        views=GaussianViews((1.0, 0.5), (0.25, 0.5)), network=Network(start="aligned", tau0=0.3),
        objective=Objective(target=target), training=Training(eta=0.05, beta=0.4, alpha_p=2.0, t_end=6.0), seed=seed,
    )  # fmt: skip
    run, m = flow(setting), moments(setting)
    a, c, w = np.diag(m.A), np.diag(m.C), np.diag(run["W"][0, 0])
    tau0 = 0.3 if target == "ema" else 1.0

    def field(_: float, y):
        p, w, v = y.reshape(3, 2)
        v = v if target == "ema" else w
        dp, dw, dv = modes.field(p, w, v, a, c, 2.0, 0.4, 0.05, 0.05)
        return np.concatenate([dp, dw, dv if target == "ema" else dw])[None]

    y0 = np.concatenate([np.diag(run["P"][0, 0]), w, tau0 * w])[None]
    p = integrate(field, y0, run.t).y[:, 0, :2]
    assert distance(p, np.diagonal(run["P"][0], axis1=1, axis2=2)) < GLOBAL  # two integrations, each at rtol


@given(settings())
def test_equivariance_under_rotations(setting: Setting) -> None:
    """W -> U W, P -> U P Uᵀ, V -> U V rotates the velocities alike."""
    m = moments(setting)
    W, P, _ = start(setting)
    V = 0.7 * W
    U = np.linalg.qr(np.random.default_rng(setting.seed).standard_normal(P.shape))[0]
    dW, dP = predictor.field(W, P, V, m.A, m.C, 1.3, 0.1, 0.2)
    rW, rP = predictor.field(U @ W, U @ P @ U.T, U @ V, m.A, m.C, 1.3, 0.1, 0.2)
    assert distance(U @ dW, rW) < 1e-13 and distance(U @ dP @ U.T, rP) < 1e-13  # algebra: rounding only


def test_fixed_points_and_their_stability() -> None:
    a, c, eta = 1.25, 1.0, 0.1
    roots = modes.fixed_points(a, c, eta)
    for p, stable in ((float(roots.p_plus), True), (float(roots.p_minus), False)):
        assert abs(modes.parabola_field(p, a, c, eta)) < 1e-15  # a root: rounding only
        eigenvalues = np.linalg.eigvals(modes.jacobian(p, p, a, c, 1.0, eta)).real
        assert (eigenvalues.max() < 0) == stable
    assert np.isnan(modes.fixed_points(a, c, 0.3).p_plus)  # h = 0.375 > 1/4: only collapse is left


def test_collapse_time_is_a_root_not_a_grid_point() -> None:
    setting = Setting(objective=Objective(loss="invariance"), training=Training(t_end=40.0, points=3))
    found = flow(setting).facts["collapse_time"]
    m, (W0, _, _) = moments(setting), start(setting)
    norm = lambda t: np.linalg.norm(invariance.closed_form(W0, m.S, np.array([t]))[0])  # noqa: E731
    true = brentq(lambda t: np.log(norm(t) / norm(0.0)) - np.log(1e-2), 0.0, 40.0, xtol=1e-12)
    assert abs(found - true) < 1e-6  # dense output of order 7 between steps, far below the grid's 20


@pytest.mark.parametrize(
    "objective",
    [Objective(), Objective(predictor="optimal"), Objective(target="ema"), Objective(stop_gradient=False), Objective(loss="invariance")],
)  # fmt: skip
def test_a_batch_equals_its_members(objective: Objective) -> None:
    members = [
        Setting(GaussianViews((1.0, 0.5 + 0.1 * i), (0.1, 0.2), twist=0.1 * i), objective=objective, seed=i).replace(
            training__alpha_p=1.0 + i, training__eta=0.1 * i, training__t_end=30.0, training__beta=1.0 + i
        )
        for i in range(5)
    ]
    happened = 0
    for alone, together in zip((flow(s) for s in members), flow_batch(members), strict=True):
        gap = max(distance(alone[name], together[name]) for name in alone.obs)
        assert gap < 10 * GLOBAL  # each member keeps its own tolerance; dP and dV have it times rates of 5 at most
        for name in ("collapse_time", "escape_time"):
            a, b = alone.facts[name], together.facts[name]
            assert (a is None) == (b is None)
            happened += a is not None
            assert a is None or abs(a - b) < 1e-5  # roots of dense output of order 7 on two different step grids
    assert happened >= 2  # events belong to members, not to the batch


@pytest.mark.parametrize(
    "others",
    [[], [Setting(training=Training(points=5))], [Setting(training=Training(t_end=2.0))], [Setting(network=Network(k=3))],
     [Setting(views=GaussianViews((1.0,), (0.1,)))], [Setting(objective=Objective(target="ema"))]],
)  # fmt: skip
def test_a_batch_that_does_not_fit_together_is_refused(others: list[Setting]) -> None:
    with pytest.raises(SettingError, match=r"a batch (shares one objective|needs at least one)"):
        flow_batch([Setting(), *others] if others else [])


def test_one_bad_member_of_many_keeps_its_own_tolerance() -> None:
    """399 members at rest would dilute scipy's error norm, a root mean square over all, by 20."""
    rate = np.zeros((400, 1))
    rate[0] = 1.0

    def error(members: int) -> float:
        y0 = np.ones((members, 1))
        y = integrate(
            lambda t, y: rate[:members] * np.cos(5 * t) * y, y0, np.array([0.0, 3.0]), rtol=1e-6, method="DOP853"
        ).y
        return abs(float(y[-1, 0, 0]) - np.exp(np.sin(15.0) / 5))

    assert error(400) < 2 * error(
        1
    )  # the same member at the same tolerance; the bound is that of two roundings of a step


def test_solver_says_what_went_wrong() -> None:
    t = np.array([0.0, 5.0])
    with pytest.raises(SolverError, match="blew up near"):
        integrate(lambda _, y: y**2, np.ones((1, 1)), t)
    with pytest.raises(SolverError, match="Radau"):
        integrate(lambda _, y: -1e7 * (y - np.cos(1e6 * _)), np.ones((1, 1)), t, method="DOP853")
    with pytest.raises(ValueError, match="finite"):
        integrate(lambda _, y: y, np.full((1, 1), np.nan), t)


def test_image_moments_are_those_of_the_pool(tmp_path) -> None:
    setting = Setting(views=ImageViews(count=64, d=4))
    m = moments(setting)
    assert np.linalg.eigvalsh(m.A - m.C).min() > -1e-12  # Tian's X' is a covariance: positive up to rounding
    assert np.isclose(np.linalg.eigvalsh(m.A).max(), 1.0, rtol=1e-12)  # scaled so; rounding only
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 3))
    np.savez(tmp_path / "pairs.npz", x=x, x_plus=2 * x)
    pairs = moments(Setting(views=ImageViews(data=str(tmp_path / "pairs.npz"), augment="pairs", d=0)))
    assert np.allclose(pairs.C, 2 * pairs.A, rtol=1e-12)  # x⁺ = 2x exactly
    with pytest.raises(SettingError, match="cannot read"):
        moments(Setting(views=ImageViews(data="nowhere.npz", augment="pairs")))
    with pytest.raises(SettingError, match="not digits or fashion"):
        moments(Setting(views=ImageViews(data="cats")))


def test_symmetrised_moments() -> None:
    setting = Setting(views=GaussianViews(twist=0.7, anchor=True))
    m = moments(setting.replace(objective__symmetrised=True))
    assert distance(m.C, m.C.T) == 0 and distance(m.A, m.B) == 0  # exact by construction
    assert distance(moments(setting).C, moments(setting).C.T) > 0.1  # and it was not symmetric before


def test_run_refuses_wrong_shapes() -> None:
    run = flow(Setting())
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(run, obs={"W": np.zeros((1, 3))})
    with pytest.raises(KeyError, match="has no 'z'"):
        run["z"]
