"""The optimal predictor, in both rooms: its digits where W is all but singular, and the flow that rests on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import null_space

from dynamics import predictor
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.simulate import flow
from full_models import linear

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
