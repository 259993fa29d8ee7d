"""InfoNCE's flow on fixed pairs: against autograd of the torch loss, for every way of making its scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matrix_cases import GLOBAL, distance, gradient_flow

from dynamics import matrix_samples
from dynamics.matrix_flow import FlowError, info_nce_sample_flow
from dynamics.matrix_samples import arranged, carried, slim
from full_models.losses import info_nce


def pairs(N: int, d: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, d))
    return X, X + 0.5 * rng.standard_normal((N, d))


def loss(X: np.ndarray, X_plus: np.ndarray, tau: float):
    x, x_plus = torch.tensor(X), torch.tensor(X_plus)
    return lambda W: info_nce(x @ W.T, x_plus @ W.T, tau=tau, critic="dot")


def velocity(W: np.ndarray, X: np.ndarray, X_plus: np.ndarray, tau: float) -> np.ndarray:
    """The compiled velocity (k, d) at W."""
    (k, d), (N, _) = W.shape, X.shape
    shapes = ((0, N), (d, k), (3 * N, k)) if slim(k, d) else ((min(N, d), N), (d, d), (min(N, d), d))
    work = [np.empty(shape) for shape in (*shapes, (N + 2, N))]
    p = (2, k, d, False, False, np.ones(d), np.ones(d), np.array([tau]), *arranged(X, X_plus, k), *work)
    dy = np.empty(k * d)
    matrix_samples.velocity(p, np.ascontiguousarray(W.T).ravel(), dy)
    return dy.reshape(d, k).T


@pytest.mark.parametrize("tau", [0.5, 1.0])
@pytest.mark.parametrize("N", [2, 10, 129])  # fewer pairs than inputs, more, and rows of which vectors leave a rest
@pytest.mark.parametrize(("k", "d"), [(3, 4), (4, 3), (1, 4), (2, 4), (4, 4)])
def test_it_descends_the_torch_loss(tau: float, N: int, k: int, d: int) -> None:
    (X, X_plus), t = pairs(N, d), np.linspace(0, 1, 4)
    W0 = 0.3 * np.random.default_rng(2).standard_normal((k, d))
    true = gradient_flow(loss(X, X_plus, tau), W0, t)
    fast = info_nce_sample_flow(W0, X, X_plus, t, tau=tau)
    assert distance(fast.W, true) < GLOBAL  # two integrations, each at rtol
    assert fast.facts.products == (7 if 3 * k < 2 * d else 8 if d < N else 6)  # as many as its velocity makes
    assert distance(info_nce_sample_flow(W0, X_plus, X, t, tau=tau).W, true) > 1e3 * GLOBAL  # the direction matters


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
def test_some_rows_carry_all(seed: int, N: int, d: int, rank: int) -> None:
    rng, units = np.random.default_rng(seed), 10.0 ** np.random.default_rng(seed).uniform(-9, 9, d)
    X = rng.standard_normal((N, min(rank, d))) @ rng.standard_normal((min(rank, d), d)) * units  # of that rank at most
    (rows, order), r = carried(X), min(N, d)
    B, A, others = rows[:r], rows[r:, :r], X[order[r:]]
    assert sorted(order) == list(range(N)) and (X[order[:r]] == B).all()  # rows of X, to the bit
    law = 30 * np.finfo(float).eps * max(N, d) * np.abs(X).max(0)  # rounding of r products by entries of order one
    assert (np.abs(A @ B - others) <= law).all()  # three times the worst of 4,000 such
    assert np.abs(A).max(initial=0.0) < 2.0**r  # pivoting's own bound
    if d < N:
        assert (np.abs(1.01 * A @ B - others) > 100 * law).any()  # another A is told apart


@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_the_velocity_is_autograds(seed: int, N: int, k: int, d: int, repeated: bool) -> None:
    X, X_plus = pairs(N, d, seed)
    if repeated:
        X[N // 2 :] = X[: N - N // 2]  # fewer independent rows, and equal ones
    W = torch.tensor(np.random.default_rng(seed).standard_normal((k, d)), requires_grad=True)
    true = -torch.autograd.grad(loss(X, X_plus, 0.7)(W), W)[0].numpy()
    scale = np.abs(X).max() * np.abs(X_plus).max() * np.abs(W.detach().numpy()).max() / 0.7  # of a term of the gradient
    found = velocity(W.detach().numpy(), X, X_plus, 0.7)
    # rounding of scores, which are exponents, and of sums over pairs; four times the worst of 4,000 such
    law = 4 * np.finfo(float).eps * (N + d * k * scale) * scale
    assert distance(found, true) < law
    if N > 1 and not repeated:
        assert distance(1.01 * found, true) > law or np.abs(true).max() < 100 * law


@pytest.mark.parametrize("k", [1, 4])
def test_scores_far_above_the_positives_are_weighed_all_the_same(k: int) -> None:
    X, X_plus = pairs(10, 4)
    W = torch.tensor(np.random.default_rng(0).standard_normal((k, 4)), requires_grad=True)
    scores = X @ W.detach().numpy().T @ W.detach().numpy() @ X_plus.T
    tau = float((scores.max(1) - np.diag(scores)).max()) / 2000  # exponentials of 2000 overflow, of -2000 vanish
    true = -torch.autograd.grad(loss(X, X_plus, tau)(W), W)[0].numpy()
    assert np.isfinite(true).all() and np.abs(true).max() > 1.0  # some positive is not the largest: there is a pull
    # rounding: exponents of thousands are off by as many units in the last place
    np.testing.assert_allclose(
        velocity(W.detach().numpy(), X, X_plus, tau), true, rtol=1e-10, atol=1e-10 * np.abs(true).max()
    )


def test_what_is_not_finite_is_not_lost() -> None:
    X, X_plus = pairs(10, 4)
    for bad in (np.nan, np.inf):
        W = np.eye(4)
        W[0, 0] = bad
        assert not np.isfinite(velocity(W, X, X_plus, 1.0)).all()


def test_without_pairs_there_is_no_flow() -> None:
    with pytest.raises(FlowError, match="one row a pair"):
        info_nce_sample_flow(np.eye(3), np.zeros((0, 3)), np.zeros((0, 3)), np.linspace(0, 1, 3))
