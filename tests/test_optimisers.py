"""Rates and optimisers against formulas written out in numpy, and random numbers by address."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from full_models.training.optimisers import BETAS, LARS, OPTIMISERS, TRUST, rate, set_rates
from full_models.training.streams import PURPOSES, stream

STEPS = 7


def problem(seed: int = 0) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """A matrix and a vector, and STEPS gradients of each: the optimiser's arithmetic, no network."""
    rng = np.random.default_rng(seed)
    shapes = ((3, 4), (5,))
    return [rng.standard_normal(s) for s in shapes], [[rng.standard_normal(s) for s in shapes] for _ in range(STEPS)]


def run(optimiser: str, lr: float, decay: float, adapt: bool = True) -> list[np.ndarray]:
    start, gradients = problem()
    parameters = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in start]
    groups = [{"params": parameters[:1], "weight_decay": decay}, {"params": parameters[1:], "weight_decay": 0.0}]
    if not adapt:
        groups[0]["adapt"] = False
    solver = OPTIMISERS[optimiser](groups, lr, 0.9, 0.0)
    for row in gradients:
        for w, g in zip(parameters, row, strict=True):
            w.grad = torch.from_numpy(g.copy())
        solver.step()
    return [w.detach().numpy() for w in parameters]


def by_hand(optimiser: str, lr: float, decay: float, adapt: bool = True) -> list[np.ndarray]:
    start, gradients = problem()
    out = []
    for i, w in enumerate(start):
        wd = decay if i == 0 else 0.0
        v, second = np.zeros_like(w), np.zeros_like(w)
        for t, row in enumerate(gradients, 1):
            g = row[i]
            if optimiser == "sgd":
                v = 0.9 * v + g + wd * w
                w = w - lr * v
            elif optimiser == "lars":
                u = g + wd * w
                scale = TRUST * np.linalg.norm(w) / np.linalg.norm(u) if i == 0 and adapt else 1.0
                v = 0.9 * v + scale * u
                w = w - lr * v
            else:
                v = BETAS[0] * v + (1 - BETAS[0]) * g
                second = BETAS[1] * second + (1 - BETAS[1]) * g**2
                m_hat, s_hat = v / (1 - BETAS[0] ** t), second / (1 - BETAS[1] ** t)
                w = w - lr * wd * w - lr * m_hat / (np.sqrt(s_hat) + 1e-8)
        out.append(w)
    return out


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_optimisers_follow_their_formula(optimiser: str) -> None:
    for got, want in zip(run(optimiser, 0.3, 0.1), by_hand(optimiser, 0.3, 0.1), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)  # seven float64 updates in one order
    wrong = by_hand(optimiser, 0.3, 0.2)[0]
    assert np.abs(run(optimiser, 0.3, 0.1)[0] - wrong).max() > 1e-6  # another decay is another path


def test_lars_leaves_unadapted_groups_to_sgd() -> None:
    got = run("lars", 0.3, 0.1, adapt=False)
    for one, other in zip(got, by_hand("sgd", 0.3, 0.1), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)  # seven float64 updates in one order


def test_lars_first_step_turns_a_matrix_by_lr_times_trust() -> None:
    w = torch.nn.Parameter(torch.ones(3, 3, dtype=torch.float64))
    before = w.detach().clone()
    w.grad = 1e6 * torch.eye(3, dtype=torch.float64)
    LARS([{"params": [w]}], lr=2.0).step()
    assert float((w.detach() - before).norm() / before.norm()) == pytest.approx(2.0 * TRUST, rel=1e-12)  # whatever ‖g‖


@pytest.mark.parametrize("zero", ["weight", "gradient"])
def test_lars_at_zero_is_finite(zero: str) -> None:
    w = torch.nn.Parameter(torch.zeros(2, 2) if zero == "weight" else torch.ones(2, 2))
    w.grad = torch.ones(2, 2) if zero == "weight" else torch.zeros(2, 2)
    before = w.detach().clone()
    LARS([{"params": [w]}], lr=0.5).step()
    assert torch.equal(w.detach(), before - 0.5 * w.grad)  # lambda = 1 there


def test_lars_takes_no_closure() -> None:
    with pytest.raises(ValueError, match="closure"):
        LARS([{"params": [torch.nn.Parameter(torch.ones(1))]}], lr=1.0).step(lambda: 0.0)


def test_warm_up_then_cosine() -> None:
    got = np.array([rate("cosine", k, 100, 10) for k in range(100)])
    want = np.where(
        np.arange(100) < 10, (np.arange(100) + 1) / 10, 0.5 * (1 + np.cos(np.pi * (np.arange(100) - 10) / 90))
    )
    np.testing.assert_allclose(got, want, rtol=0, atol=4e-16)  # two roundings of numbers below 2
    assert got[9] == got[10] == 1.0  # the warm-up ends at the rate that the schedule starts from
    assert 0 < got[-1] < got[-2]


def test_constant_rate_and_no_warm_up() -> None:
    assert [rate("constant", k, 5, 0) for k in range(5)] == [1.0] * 5
    assert rate("cosine", 0, 5, 0) == 1.0
    assert rate("cosine", 4, 5, 0) == pytest.approx((1 + math.cos(math.pi * 4 / 5)) / 2)


def test_each_group_scales_its_own_rate_and_fixed_ones_stay() -> None:
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(3)]
    groups = [{"params": parameters[:1], "lr": 1.0}, {"params": parameters[1:2], "lr": 10.0},
              {"params": parameters[2:], "lr": 5.0, "fixed_lr": True}]  # fmt: skip
    solver = torch.optim.SGD(groups, 1.0)
    for factor in (0.5, 0.25):
        set_rates(solver, factor)
        assert [g["lr"] for g in solver.param_groups] == [factor, 10 * factor, 5.0]


def test_streams_are_addresses() -> None:
    draws = {
        (s, p, i): torch.rand(4, generator=stream(s, p, i)).tolist() for s in (0, 1) for p in PURPOSES for i in (0, 1)
    }
    assert len({tuple(v) for v in draws.values()}) == len(draws)
    assert torch.rand(4, generator=stream(1, "views", 0)).tolist() == draws[1, "views", 0]
