"""The steppers of matrix flows: orders, dense output, the measured radius, and when the method changes."""

from __future__ import annotations

import numpy as np
import pytest
from matrix_cases import TIMES, distance, plain, problem
from scipy.linalg import expm

from dynamics import matrix_driver as driver
from dynamics.lane_products import LANES
from dynamics.matrix_explicit import TABLEAU, explicit_step
from dynamics.matrix_field import PREDICTOR, velocity
from dynamics.matrix_flow import Stepping, predictor_flow
from dynamics.matrix_lane_field import field, set_moments, set_step, workspace
from dynamics.matrix_lane_steps import astray, glance, spread
from dynamics.matrix_stabilised import spectral_radius, stabilised_step
from dynamics.solver import RTOL, SolverError
from dynamics.stabilised_tableau import SIZES, table


def field_arguments(q: dict, eta: float = 0.1) -> tuple[tuple, np.ndarray]:
    """(p, y) of velocity for a flow with V = W, in the basis of A."""
    (k, d), (a, U) = q["W0"].shape, np.linalg.eigh(q["A"])
    Q = np.zeros((d, d + k))
    Q[:, :d] = U.T @ q["C"] @ U
    none = np.zeros((0, d))
    p = (PREDICTOR, k, d, False, False, a, np.zeros(d), np.array([1.0, eta, eta, 0.0]), none, none, Q,
         np.zeros((d, k)), np.zeros((0, k)), np.zeros((0, 0)))  # fmt: skip
    return p, np.concatenate([(q["W0"] @ U).T.ravel(), q["P0"].T.ravel()])


def fixed_steps(p: tuple, y: np.ndarray, steps: int, method: int) -> np.ndarray:
    y, K, work, stages = y.copy(), np.zeros((16, len(y))), np.zeros((3, len(y))), 7
    velocity(p, y, K[0])
    for _ in range(steps):
        if method == driver.EXPLICIT:
            explicit_step(p, TABLEAU, y, 4.0 / steps, K, work[0], work[1])
        else:
            row = table()[SIZES.index(stages)]
            stabilised_step(p, row, stages, y, 4.0 / steps, K, work[0], work[1], work[2])
        y[:], K[0] = work[0], K[12]
    return y


@pytest.mark.parametrize(("method", "order", "steps"), [(driver.EXPLICIT, 8, 6), (driver.STABILISED, 4, 16)])
def test_order_of_convergence(method: int, order: int, steps: int) -> None:
    p, y = field_arguments(problem(1, 4, 4, commuting=False))
    true = fixed_steps(p, y, 400, driver.EXPLICIT)
    coarse, fine = (distance(fixed_steps(p, y, n, method), true) for n in (steps, 2 * steps))
    assert abs(np.log2(coarse / fine) - order) < 0.1 * order  # the next order's term is a few percent at these steps


@pytest.mark.parametrize("method", ["DOP853", "RKL4"])
def test_output_between_steps_is_as_good_as_at_steps(method: str) -> None:
    q, rtol = problem(2, 3, 4, commuting=False), 1e-6
    dense = predictor_flow(**q, t=np.linspace(0, 4, 200), stepping=Stepping(rtol, method=method)).W
    W, _ = plain(q, np.linspace(0, 4, 200))
    assert distance(dense, W) < 1e3 * rtol  # interpolants of order 7 and 3 on steps chosen for orders 8 and 4


def test_spectral_radius_is_that_of_the_jacobian() -> None:
    p, y = field_arguments(problem(5, 5, 6, commuting=False))
    n, f0, f = len(y), np.zeros_like(y), np.zeros_like(y)
    J = np.empty((n, n))
    for i in range(n):
        for sign in (1, -1):
            velocity(p, y + sign * 1e-5 * np.eye(n)[i], f)
            J[:, i] = f if sign == 1 else (J[:, i] - f) / 2e-5
    velocity(p, y, f0)
    work = np.zeros((3, n))
    rho, _ = spectral_radius(p, y, f0, work[0], work[1], work[2], driver.MOST)
    true = np.abs(np.linalg.eigvals(J)).max()
    assert 1 / driver.SAFETY < rho / true < driver.SAFETY  # the safety that the stepper takes covers power iteration


def stiff(d: int = 8) -> tuple[dict, np.ndarray]:
    """Spectra from 1 to 1e-3: the fast modes hold the step, the slow ones the clock."""
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = (U * np.logspace(0, -3, d)) @ U.T
    q = problem(0, d, d, commuting=True) | {"A": 0.625 * (X + X.T), "C": X}
    return q, np.array([0.0, 300.0, 3000.0])


def test_stiffness_is_measured_and_the_stabilised_method_agrees() -> None:
    (q, t), rtol = stiff(), 1e-5
    true = predictor_flow(**q, t=t, stepping=Stepping(method="DOP853"))
    auto, explicit = (predictor_flow(**q, t=t, stepping=Stepping(rtol, method=m)) for m in ("auto", "DOP853"))
    assert auto.facts.method == "DOP853 then RKL4" and 0 < auto.facts.switched_at[0] < 300
    assert auto.facts.evaluations[0] < explicit.facts.evaluations[0] / 3  # the reason to switch; 6 x was measured
    assert distance(auto.W, true.W) < 100 * rtol  # as STIFF in test_matrix_hard, where scipy is the other side
    assert predictor_flow(**problem(1, 6, 6, True), t=TIMES).facts.method == "DOP853"


@pytest.mark.parametrize("seed", [1, 2])
def test_auto_costs_what_the_cheaper_method_costs_where_eigenvalues_are_complex(seed: int) -> None:
    """The second view is turned; steps of RKL4 then grow until they are unstable, and begin small again."""
    d, rng = 8, np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = (U * np.logspace(0, -3, d)) @ U.T
    g = rng.standard_normal((d, d))
    W0, P0 = 0.7 * rng.standard_normal((2, d, d)) / np.sqrt(d)
    q = {"W0": W0, "P0": P0, "A": 0.625 * (X + X.T), "C": X @ expm(0.2 * (g - g.T)).T, "t": np.array([0.0, 1e4])}
    cost = {
        m: predictor_flow(**q, stepping=Stepping(1e-4, method=m)).facts.evaluations[0]
        for m in ("auto", "DOP853", "RKL4")
    }
    assert cost["RKL4"] < cost["DOP853"] / 2  # else there is nothing to lose
    assert cost["auto"] < 1.25 * cost["RKL4"]  # a return to DOP853 of 40 steps is 5 %; judged trial by trial: 2.3


def test_a_tolerance_that_the_low_order_cannot_pay_goes_back_to_the_explicit_method() -> None:
    q, t = stiff(4)
    facts = predictor_flow(**q, t=t, stepping=Stepping(1e-11)).facts
    explicit = predictor_flow(**q, t=t, stepping=Stepping(1e-11, method="DOP853")).facts
    assert facts.evaluations[0] < 1.5 * explicit.evaluations[0]  # trials of RKL4, ever rarer, cost less than half of it


@pytest.mark.parametrize("method", ["auto", "DOP853", "RKL4"])
@pytest.mark.parametrize("atol", [0.0, 1e-300])
def test_a_tolerance_of_nothing_bears_entries_of_zero(method: str, atol: float) -> None:
    I, rtol = np.eye(2), 1e-6 if method == "RKL4" else 1e-10
    W0, how = np.array([[0.5, 0.1], [0.2, 0.0]]), Stepping(rtol, atol, method)
    true, _ = plain({"W0": W0, "P0": I / 2, "A": I, "C": I})
    alone = predictor_flow(W0, I / 2, I, I, TIMES, stepping=how)
    beside = predictor_flow(np.stack([W0, 0 * W0]), np.stack([I / 2, I / 2]), I, I, TIMES, stepping=how)
    apart = predictor_flow(np.diag([0.5, 0.0]), I / 2, I, I, TIMES, stepping=how)  # a mode of 0
    assert distance(alone.W, true) < 1e3 * rtol and distance(beside.W[0], true) < 1e3 * rtol  # as GLOBAL, at this rtol
    assert not beside.W[1].any() and apart.facts.form == "modes" and not apart.W[:, 1].any()


@pytest.mark.parametrize("method", ["auto", "DOP853", "RKL4"])
def test_blow_up_is_said(method: str) -> None:
    runaway = {**problem(0, 3, 3, True), "A": np.zeros((3, 3)), "C": np.eye(3)}  # nothing holds the growth
    with pytest.raises(SolverError, match="blew up near t"):
        predictor_flow(**runaway, t=np.array([0.0, 50.0]), stepping=Stepping(method=method))
    calm = problem(0, 3, 3, True)
    both = {name: np.stack([calm[name], runaway[name]]) for name in calm}
    with pytest.raises(SolverError, match="member 1 of 2 blew up near t"):  # also where the pole stops the clock first
        predictor_flow(**both, t=np.array([0.0, 50.0]), stepping=Stepping(1e-3, method=method))


@pytest.mark.parametrize(("members", "least"), [(1, 1e2), (5, 3e2)])
def test_outputs_within_steps_that_stability_holds_are_as_good(members: int, least: float) -> None:
    """Slow modes beside a fast one that has died: DOP853's dense output would magnify what each step stirs up of it."""
    rng, d, t = np.random.default_rng(0), 5, np.linspace(0.0, 50.0, 121)
    U = np.linalg.qr(rng.standard_normal((members, d, d)))[0]
    S = (U * np.array([0.02, 0.1, 0.3, 1.0, 5.0])) @ U.mT  # P = 1 and no stop-gradient: W(t) = W(0) e^{-S t}
    S, C = (S + S.mT) / 2, np.diag(rng.random(d))
    W0, P0 = rng.standard_normal((members, d, d)), np.broadcast_to(np.eye(d), S.shape)
    true = np.stack([[X @ expm(-s * time) for time in t] for X, s in zip(W0, S, strict=True)])
    moments = {"A": C + S / 2, "B": C + S / 2, "C": C, "alpha_p": 0.0, "eta_p": 0.0}
    late = t > 10.0  # the fast mode is e^-50 of itself

    def worst(method: str) -> float:
        flow = predictor_flow(W0, P0, **moments, t=t, stepping=Stepping(method=method))
        return distance(flow.W[:, late], true[:, late])

    # steps of h rho = 5 keep a mode's size, those seen late, up to 6, magnify it ten times; DOP853 alone goes to 6 and beyond
    assert worst("auto") < least * RTOL < worst("DOP853")


@pytest.mark.parametrize("members", [1, 60])
def test_outputs_within_the_first_steps_are_as_good(members: int) -> None:
    """Linear flows that soon step far: a fast mode is then below rounding, so that no stage shows it, but not below 1e-16 / 1e9."""
    rng, t, worst = np.random.default_rng(3), np.linspace(0.0, 30.0, 301), {"auto": 0.0, "DOP853": 0.0}
    for _ in range(60 // members):
        w, a = rng.standard_normal((members, 2)), np.exp(rng.uniform(-3, 2.5, (members, 2)))
        c, beta = a * np.exp(rng.uniform(-2, 0, (members, 2))), np.exp(rng.uniform(-2, 2, members))
        true = np.empty((members, len(t), 1, 2))
        for m, j in np.ndindex(members, 2):  # of (w, v), v(0) = w(0) / 2, by the eigenvectors of what moves them
            rates, U = np.linalg.eig([[-a[m, j], c[m, j]], [beta[m], -beta[m]]])
            true[m, :, 0, j] = w[m, j] * (np.exp(np.outer(t, rates)) @ (U[0] * np.linalg.solve(U, [1.0, 0.5])))
        W0, P0, A, C = w[:, None], np.ones((members, 1, 1)), a[:, :, None] * np.eye(2), c[:, :, None] * np.eye(2)
        for method in worst:
            how = Stepping(method=method)
            flow = predictor_flow(W0, P0, A, C, t, V0=W0 / 2, alpha_p=0.0, eta_p=0.0, beta=beta, stepping=how)
            worst[method] = max(worst[method], distance(flow.W, true))
    assert worst["auto"] < 10 * RTOL < 100 * RTOL < worst["DOP853"]  # some dozen steps, each of RTOL


def test_a_glance_of_all_lanes_finds_the_radius_of_each() -> None:
    members = [problem(seed, 3, 4, commuting=False) for seed in range(LANES)]
    p, n, rates = workspace(PREDICTOR, 3, 4, False, 4, 21), 21, np.array([1.0, 0.1, 0.1, 0.0])
    Y, K, direction, far, sums = (
        np.zeros(n * LANES),
        np.zeros((1, n * LANES)),
        *np.zeros((2, n * LANES)),
        np.zeros(3 * LANES),
    )
    true, h = np.empty(LANES), 0.1 * (1 + np.arange(LANES))
    for l, q in enumerate(members):
        own, y = field_arguments(q)
        f0, work = np.zeros(n), np.zeros((3, n))
        velocity(own, y, f0)
        true[l], _ = spectral_radius(own, y, f0, *work, driver.MOST)
        set_moments(p, own[5], own[6], own[10][:, :4].copy(), l)
        set_step(p, rates, h[l], l)
        spread(y, Y, l)
        astray(direction, l)
    field(p, Y, K[0])
    for _ in range(driver.MOST):
        glance(p, Y, K, direction, far, sums)
    assert sums[:LANES] / h == pytest.approx(
        true, rel=0.05
    )  # power iteration to 1 % a time, of slowly settling ones less
    idle = np.zeros(n * LANES)
    glance(p, idle, 0 * K, direction, far, sums)  # at rest in 0, where only decay moves anything
    assert np.isfinite(sums).all() and np.isfinite(direction).all()
