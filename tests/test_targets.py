"""Targets: the stop-gradient and the moving average, against what the papers write."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from method_cases import ROUNDING, batches, generator, gradients, tiny
from torch import Tensor, nn

from full_models.methods import Method, MethodError
from full_models.methods import siamese as siamese_module
from full_models.methods.target import MovingAverage, momentum, stop_gradient


def frozen_copy_gradients(method: Method, x: Tensor, x_plus: Tensor) -> list[Tensor]:
    """Gradients of SimSiam's loss with the target computed by a copy of the network that shares nothing with it."""
    other = copy.deepcopy(method)
    f, g, P = method.branch, other.branch, method.predictor
    cosine = partial(torch.nn.functional.cosine_similarity, dim=-1)
    loss = -(cosine(P(f(x)), g(x_plus)).mean() + cosine(P(f(x_plus)), g(x)).mean()) / 2
    return list(torch.autograd.grad(loss, [p for p in method.parameters() if p.requires_grad]))


def largest_difference(a: list[Tensor], b: list[Tensor]) -> float:
    return max(float((u - v).abs().max()) for u, v in zip(a, b, strict=True))


@pytest.mark.parametrize("name", ["simsiam", "simsiam-no-predictor"])
def test_the_target_of_simsiam_receives_exactly_no_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, (pair,) = tiny(name), batches(1)
    expected = frozen_copy_gradients(method, *pair)
    assert largest_difference(gradients(method, *pair), expected) < ROUNDING
    monkeypatch.setattr(siamese_module, "stop_gradient", lambda target, stop: target)
    assert largest_difference(gradients(method, *pair), expected) > 1e-3  # a forgotten stop-gradient is seen


def test_without_stop_gradient_both_branches_learn() -> None:
    method, (pair,) = tiny("simsiam-no-stopgrad"), batches(1)
    assert largest_difference(gradients(method, *pair), frozen_copy_gradients(method, *pair)) > 1e-3  # of order 0.1


def test_stop_gradient_keeps_the_value() -> None:
    z = torch.ones(3, requires_grad=True)
    assert not stop_gradient(z).requires_grad and torch.equal(stop_gradient(z), z)
    assert stop_gradient(z, stop=False) is z


def test_moving_average_follows_the_closed_form() -> None:
    """g_K = m^K g_0 + (1 - m) Σ_k m^(K-1-k) f_k, f_k the online value after step k."""
    online = nn.Linear(1, 1, bias=False).double()
    online.weight.data.fill_(2.0)
    target, m, K = MovingAverage(online, 0.9), 0.9, 7
    f = np.cos(np.arange(K))
    for k in range(K):
        online.weight.data.fill_(f[k])
        target.follow(online, k, K)
    closed = m**K * 2.0 + (1 - m) * sum(m ** (K - 1 - k) * f[k] for k in range(K))
    assert target.network.weight.item() == pytest.approx(closed, rel=1e-14)  # 7 roundings of 1e-16


def test_momentum_schedules() -> None:
    assert momentum(0.9, "constant", 5, 10) == pytest.approx(0.9, rel=1e-15)  # one rounding
    assert momentum(0.9, "linear", 5, 10) == pytest.approx(0.95, rel=1e-15)  # half way to 1
    cosine = [momentum(0.96, "cosine", k, 100) for k in range(100)]
    k = np.arange(100)
    np.testing.assert_allclose(cosine, 1 - 0.04 * (np.cos(np.pi * k / 100) + 1) / 2, rtol=1e-14)  # rounding
    assert cosine[0] == pytest.approx(0.96, rel=1e-15) and (np.diff(cosine) > 0).all() and cosine[-1] < 1


def trained(method: Method, pairs: list[tuple[Tensor, Tensor]], swapped: bool = False) -> tuple[list[Tensor], Tensor]:
    """Online first matrix after each step of SGD, and the target's at the end; swapped: average before the optimiser."""
    optimiser = torch.optim.SGD(method.parameter_groups(0.1, 0.0), 0.1)
    path = []
    for k, (x, x_plus) in enumerate(pairs):
        optimiser.zero_grad()
        method(x, x_plus, generator=generator()).backward()
        if swapped:
            method.after_step(k, len(pairs))
        optimiser.step()
        if not swapped:
            method.after_step(k, len(pairs))
        path.append(next(method.encoder.parameters()).detach().clone())
    return path, next(method.target.parameters()).clone()


@pytest.mark.parametrize("name", ["byol", "moco", "directpred", "directset"])
def test_the_target_averages_what_the_optimiser_left(name: str) -> None:
    method, pairs, m = tiny(name, ema=0.8, schedule="constant"), batches(4), 0.8
    first = next(method.encoder.parameters()).detach().clone()
    path, target = trained(method, pairs)
    closed = m**4 * first + sum((1 - m) * m ** (3 - k) * f for k, f in enumerate(path))
    assert float((target - closed).abs().max()) < ROUNDING
    _, lagging = trained(tiny(name, ema=0.8, schedule="constant"), pairs, swapped=True)
    assert float((lagging - closed).abs().max()) > 1e-4  # one step behind: lr (1 - m) times a gradient of 0.01 or more


def test_the_target_averages_parameters_and_keeps_its_own_batch_statistics() -> None:
    method, ((x, x_plus),) = tiny("byol", ema=0.5, schedule="constant"), batches(1)
    method(x, x_plus, generator=generator())
    online, target = (dict(m.named_buffers()) for m in (method.projector, method.target.network[1]))
    assert torch.equal(online["1.running_mean"], target["1.running_mean"])  # equal networks saw equal batches
    with torch.no_grad():
        for p in method.encoder.parameters():
            p.mul_(2)
    before = target["1.running_mean"].clone()
    method.after_step(0, 10)
    assert torch.equal(target["1.running_mean"], before)  # averaging moves parameters alone
    method(x, x_plus, generator=generator())
    assert not torch.equal(online["1.running_mean"], target["1.running_mean"])  # each its own forward passes


def test_a_moving_average_takes_no_gradient_and_says_so() -> None:
    method = tiny("byol")
    with pytest.raises(MethodError, match="a moving-average target takes no gradient"):
        siamese_module.LatentPrediction(
            method.encoder, method.projector, method.predictor, method.distance, target=method.target, stop=False
        )
    assert not any(p.requires_grad for p in method.target.parameters())
    frozen = {id(p) for p in method.target.parameters()}
    assert not frozen & {id(p) for group in method.parameter_groups(1.0, 0.0) for p in group["params"]}
