"""Predictors against what the papers write, computed here a second time in numpy."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from method_cases import ROUNDING, batches, generator, tiny
from torch import Tensor

from full_models import networks
from full_models.methods import Method
from full_models.methods.analytic import AnalyticPredictor, Rule, direct_pred, direct_set, optimal
from full_models.methods.predictor import LinearPredictor


def covariance(rng: np.random.Generator, d: int, n: int) -> np.ndarray:
    z = rng.standard_normal((n, d))
    return z.T @ z / n


def by_eigenvectors(F: np.ndarray, law) -> np.ndarray:
    s, U = np.linalg.eigh(F)
    return sum(p * np.outer(u, u) for p, u in zip(law(np.maximum(s, 0)), U.T, strict=True))


LAWS = {  # rule: (F, C) -> P, and the eigenvalues p of s that its paper or code writes
    "paper": (lambda F, C: direct_pred(F, 0.2), lambda s: np.sqrt(s) + 0.2 * s.max()),
    "reference": (
        lambda F, C: direct_pred(F, 0.2, "reference"),
        lambda s: np.maximum(np.sqrt(s / s.max()) + 0.2, 1e-4),
    ),
    "negative eps": (
        lambda F, C: direct_pred(F, -0.9, "reference"),
        lambda s: np.maximum(np.sqrt(s / s.max()) - 0.9, 1e-4),
    ),
    "copy": (lambda F, C: direct_set(F, 1.0, 0.3), lambda s: s / s.max() + 0.3),
    "root": (lambda F, C: direct_set(F, 0.5, 0.1, "frobenius"), lambda s: np.sqrt(s / s.sum()) + 0.1),
    "no norm": (lambda F, C: direct_set(F, 2.0, 0.1, "none"), lambda s: s**2 + 0.1),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", [3, 40])
def test_analytic_predictors_are_functions_of_the_eigenvalues(law: str, n: int) -> None:
    rule, p = LAWS[law]
    F = covariance(np.random.default_rng(n), 5, n)  # n = 3: rank 3, two eigenvalues of 0
    P = rule(torch.from_numpy(F), torch.zeros(5, 5)).numpy()
    # √ turns an eigenvalue's rounding of 1e-16 into 1e-8 where the eigenvalue is 0
    np.testing.assert_allclose(P, by_eigenvectors(F, p), atol=1e-7 if n == 3 else ROUNDING)
    wrong = by_eigenvectors(F, lambda s: p(s) + 0.01 * (s == s.max()))
    assert np.abs(P - wrong).max() > 1e-4  # one eigenvalue off by a hundredth is seen


@pytest.mark.parametrize("law", LAWS)
def test_analytic_predictors_are_finite_at_collapse(law: str) -> None:
    zero = torch.zeros(4, 4, dtype=torch.float64)
    assert torch.isfinite(LAWS[law][0](zero, zero)).all() and torch.equal(optimal(zero, zero), zero)


def test_the_optimal_predictor_is_least_squares() -> None:
    rng = np.random.default_rng(3)
    z, t = rng.standard_normal((30, 5)), rng.standard_normal((30, 5))
    z[:, 4] = z[:, 0] - z[:, 1]  # singular: of all minimisers the least in norm
    F, C = z.T @ z / 30, t.T @ z / 30
    P = optimal(torch.from_numpy(F), torch.from_numpy(C)).numpy()
    np.testing.assert_allclose(P, np.linalg.lstsq(z, t, rcond=None)[0].T, atol=1e-10)  # squared condition 100 · 1e-14
    assert np.abs(P.T - np.linalg.lstsq(z, t, rcond=None)[0].T).max() > 1e-2  # a transposed C is seen


def observed(method: Method, pairs: list[tuple[Tensor, Tensor]]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Embeddings z and targets t that the predictor saw at each step, and P after it."""
    steps, predictor = [], method.predictor
    optimiser = torch.optim.SGD(method.parameter_groups(0.1, 0.0), 0.1)
    taken = predictor.observe
    seen = []
    predictor.observe = lambda z, t: (seen.append((z.numpy().copy(), t.numpy().copy())), taken(z, t))[1]
    for k, (x, x_plus) in enumerate(pairs):
        optimiser.zero_grad()
        method(x, x_plus, generator=generator()).backward()
        optimiser.step()
        method.after_step(k, len(pairs))
        steps.append((*seen[-1], method.predictor_matrix().numpy().copy()))
    return steps


def running(steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]], rho: float) -> tuple[np.ndarray, np.ndarray]:
    """F and C by their closed form: weight rho^(K-1-k) (1 - rho) of batch k, rho^(K-1) of the first."""
    K = len(steps)
    weights = [rho ** (K - 1 - k) * (1 - rho if k else 1) for k in range(K)]
    F = sum(w * z.T @ z / len(z) for w, (z, _, _) in zip(weights, steps, strict=True))
    C = sum(w * t.T @ z / len(z) for w, (z, t, _) in zip(weights, steps, strict=True))
    return F, C


RULES: dict[str, tuple[dict, Rule]] = {
    "directpred": ({"eps": 0.1}, lambda F, C: direct_pred(F, 0.1)),
    "directset": ({"alpha": 2.0, "eps": 0.1}, lambda F, C: direct_set(F, 2.0, 0.1)),
    "optimal-predictor": ({"ema": 0.9}, optimal),
}


@pytest.mark.parametrize("name", RULES)
def test_analytic_predictors_follow_the_running_moments(name: str) -> None:
    options, rule = RULES[name]
    steps = observed(tiny(name, rho=0.3, **options), batches(4))
    F, C = running(steps, 0.3)
    assert len(steps[0][0]) == 24  # both directions of 12 pairs
    P = rule(torch.from_numpy(F), torch.from_numpy(C)).numpy()
    np.testing.assert_allclose(steps[-1][2], P, atol=1e-10)  # rounding times a condition number of 1e4
    other = rule(*map(torch.from_numpy, running(steps, 0.7))).numpy()
    assert np.abs(steps[-1][2] - other).max() > 1e-4  # rho the weight of the new estimate instead: seen


def test_the_optimal_predictor_predicts_the_other_view() -> None:
    """At rho = 0 P is the least-squares map of the last batch from each view's embedding to the other's target."""
    z, t, P = observed(tiny("optimal-predictor"), batches(2))[-1]
    np.testing.assert_allclose(P, np.linalg.lstsq(z, t, rcond=None)[0].T, atol=1e-9)  # squared condition 1e4 · 1e-14
    assert np.abs(P - np.eye(6)).max() > 1e-2  # it would be I if each view were to predict itself


def test_between_settings_the_predictor_descends() -> None:
    pairs = batches(4)
    rule = partial(direct_pred, eps=0.1)
    steps = observed(tiny("directpred", freq=2), pairs)
    for k in range(4):
        F, _ = running(steps[: k + 1], 0.3)
        off = np.abs(steps[k][2] - rule(torch.from_numpy(F)).numpy()).max()
        assert off < 1e-10 if k % 2 == 0 else off > 1e-4  # set at steps 0 and 2, elsewhere moved by its gradient
    assert np.abs(steps[1][2] - steps[0][2]).max() > 1e-5  # it did move: lr 0.1 times a gradient of 1e-3 or more


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_a_symmetric_predictor_stays_symmetric(name: str) -> None:
    for kind, symmetric in {"symmetric": True, "linear": False}.items():
        method = tiny(name, predictor=kind)
        optimiser = torch.optim.SGD(method.parameter_groups(0.1, 1e-2), 0.1, momentum=0.9)
        for k, (x, x_plus) in enumerate(batches(3)):
            optimiser.zero_grad()
            method(x, x_plus, generator=generator()).backward()
            optimiser.step()
            method.after_step(k, 3)
        P = method.predictor_matrix()
        assert (float((P - P.T).abs().max()) < 1e-15) == symmetric  # exact but for the last bit


def test_a_symmetric_predictor_descends_the_symmetrised_gradient() -> None:
    predictor = networks.build(lambda: LinearPredictor(4, symmetric=True), generator()).double()
    z, t = torch.randn(2, 9, 4, generator=generator(1), dtype=torch.float64)
    P = predictor.matrix().detach().requires_grad_()
    (G,) = torch.autograd.grad((z @ P.T - t).square().sum(), P)
    (M,) = torch.autograd.grad((predictor(z) - t).square().sum(), predictor.M)
    assert float((M - (G + G.T) / 2).abs().max()) < ROUNDING * 100  # sums of some hundred numbers of order 10
    assert float((M - G).abs().max()) > 1  # not the plain gradient


def test_an_analytic_predictor_is_a_parameter_only_where_it_descends() -> None:
    for freq in (1, 3):
        predictor = networks.build(partial(AnalyticPredictor, 3, optimal, freq=freq), generator())
        assert predictor.P.requires_grad == (freq > 1)
