"""The optimal predictor, in both rooms: its digits where W is all but singular, and the flow that rests on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import null_space

from dynamics import predictor, solver
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.simulate import flow
from dynamics.solver import SolverError
from full_models import linear

LAW = 1e3 * solver.RTOL  # of the flow rung
ROUNDING = 1e-13  # of a few products and a decomposition of matrices of order one


def by_theory(W, V, A, C):
    return predictor.optimal_predictor(W, V, *predictor.roots(A, C))


def by_network(W, V, A, C):
    return linear.optimal_predictor(*(torch.from_numpy(M) for M in (W, V, A, C))).numpy()


ROOMS = pytest.mark.parametrize("optimal", [by_theory, by_network])


def views(d: int, seed: int = 0):
    """A, C (d, d) of a random pair."""
    rng = np.random.default_rng(seed)
    X, N = rng.standard_normal((2, d, d))
    return X @ X.T + N @ N.T, X @ X.T


@ROOMS
@pytest.mark.parametrize("small", [1e-2, 1e-5, 1e-8])
def test_it_keeps_the_digits_that_w_has(optimal, small: float) -> None:
    """W = T [1 0] with a triangular T whose inverse is known: P* = T (Cᵀ)₁₁ (A₁₁)⁻¹ T⁻¹. The inverse of W A Wᵀ was off by 1/small²."""
    A, C = views(3)
    T, inverse = np.array([[1.0, 1.0], [0.0, small]]), np.array([[1.0, -1 / small], [0.0, 1 / small]])
    W = T @ np.eye(2, 3)
    right = T @ np.linalg.solve(A[:2, :2], C[:2, :2]).T @ inverse
    found = optimal(W, W, A, C)
    assert np.abs(found - right).max() < ROUNDING / small * np.abs(right).max()


@ROOMS
@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_it_is_the_least_of_all_optima_at_every_scale(optimal, scale: float) -> None:
    """Rank 2 of k = 4, from A of rank 2: the residual is orthogonal to the embeddings, and P* is 0 where there are none."""
    A, C = views(2)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0][:, :2]
    A, C = turn @ A @ turn.T, turn @ C @ turn.T
    W, V = np.random.default_rng(2).standard_normal((2, 4, 3))
    P = optimal(scale * W, scale * V, A, C)
    assert np.abs((V @ C.T - P @ W @ A) @ W.T).max() < 1e3 * ROUNDING  # ‖W‖² ‖A‖ and W's condition are below 10³
    assert np.abs(P @ null_space(W @ turn @ turn.T @ W.T, 1e-8).reshape(4, 2)).max() < 1e3 * ROUNDING
    assert not optimal(0 * W, V, A, C).any() and not optimal(W, V, 0 * A, 0 * C).any()


@pytest.mark.parametrize("seed", [78, 95])
def test_a_flow_that_rests_is_not_taken_for_a_stiff_one(seed: int) -> None:
    """k = d, where P* leaves no residual, W of condition 300 and 700: the square's rounding took 7,000 and 60,000 evaluations."""
    views, objective = GaussianViews((0.9, 0.6, 0.4), (0.2, 0.5, 0.8)), Objective(predictor="optimal")
    run = flow(Setting(views, Network(k=3), objective, Training(t_end=20.0, points=2), seed), timed=False)
    assert run.facts["evaluations"] < 3000  # 62 without rounding; 1,500 beside a cancellation in the residual
    assert np.abs(run["W"][0, -1] - run["W"][0, 0]).max() < 1e-7  # 10³ rtol


def fading(eta: float, beta: float = 1.0, target: str = "online", t_end: float = 60.0) -> Setting:
    views, objective = GaussianViews((0.9, 0.6, 0.4), (0.2, 0.5, 0.8)), Objective(predictor="optimal", target=target)
    return Setting(views, Network(k=2), objective, Training(t_end=t_end, points=7, eta=eta, beta=beta))


@pytest.mark.parametrize("setting", [fading(1.0), fading(2.0), fading(0.5, 1.0, "ema")])
def test_weights_that_all_but_vanish_keep_their_law(setting: Setting) -> None:
    """J is least in P: G Wᵀ = 0, hence ‖W(t)‖ = e^{-eta t} ‖W(0)‖; by atol W was noise from 1e-14 on."""
    run = flow(setting)
    size = np.linalg.norm(run["W"][0], axis=(1, 2))
    assert "dip" in run.facts and size[-1] < 1e-13
    np.testing.assert_allclose(size / size[0], np.exp(-setting.training.eta * run.t), rtol=LAW)


@pytest.mark.parametrize("eta", [1.0, 2.0])
def test_a_ratio_knows_no_decay(eta: float) -> None:
    """W = e^{-eta t} U where U' is the flow without decay, whose P is the same."""
    np.testing.assert_allclose(flow(fading(eta))["P"], flow(fading(0.0))["P"], rtol=LAW)


def test_what_has_left_the_range_of_numbers_has_no_ratio() -> None:
    with pytest.raises(SolverError, match="leave the range of numbers: give less weight decay or a smaller t_end"):
        flow(fading(2.0, t_end=200.0))  # e^{-400}, below 1e-150/LAW
    assert not flow(fading(2.0).replace(network__w0=0.0))["W"].any()


def test_a_ratio_that_cannot_be_followed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the target falls more slowly than W, and P = V/W grows without end."""
    monkeypatch.setattr(solver, "MAX_EVALUATIONS", 1200)  # by atol it takes 926, by rtol alone 3,062
    with pytest.raises(SolverError, match="an optimal predictor needs its digits; followed by the relative one alone"):
        flow(fading(1.0))
