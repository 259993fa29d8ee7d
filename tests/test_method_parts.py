"""The parts of methods against what the papers write, computed here a second time in numpy or by hand."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from method_cases import ROUNDING, SHAPE, batches, generator, tiny
from torch import Tensor, nn

from full_models import networks
from full_models.methods import Method, MethodError, build
from full_models.methods import moco as moco_module
from full_models.methods import siamese as siamese_module
from full_models.methods.projector import Head
from full_models.methods.queue import KeyQueue
from full_models.methods.target import MovingAverage, momentum, stop_gradient


def gradients(method: Method, x: Tensor, x_plus: Tensor) -> list[Tensor]:
    parameters = [p for p in method.parameters() if p.requires_grad]
    return list(torch.autograd.grad(method(x, x_plus, generator=generator()), parameters))


# ---- stop-gradient


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


# ---- moving average


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


# ---- queue and momentum keys


def test_the_queue_is_first_in_first_out_and_wraps() -> None:
    queue = networks.build(lambda: KeyQueue(5, 2), generator())
    norms = queue.keys.norm(dim=-1)
    assert torch.allclose(norms, torch.ones(5), atol=1e-6)  # unit keys at the start, to float32's rounding
    places = torch.arange(5)
    expected = [-1] * 5  # which batch a place was filled by
    for batch in range(4):
        keys = torch.tensor([[1.0 + batch, i] for i in range(3)])
        old = queue.keys.clone()
        queue.enqueue(keys)
        filled = [(3 * batch + i) % 5 for i in range(3)]
        for i, place in enumerate(filled):
            expected[place] = batch
            assert torch.allclose(queue.keys[place], keys[i] / keys[i].norm())
        kept = [p for p in places.tolist() if p not in filled]
        assert torch.equal(queue.keys[kept], old[kept])
    assert expected == [3, 3, 2, 2, 3]  # 12 keys: places 0 and 1 hold the last batch's end, 2 and 3 batch 2's end
    assert queue.pointer.item() == 12 % 5
    with pytest.raises(MethodError, match="give queue >= the batch"):
        queue.enqueue(torch.ones(6, 2))


def negatives_of(method: Method, x: Tensor, monkeypatch: pytest.MonkeyPatch, early: bool) -> tuple[Tensor, Tensor]:
    """The keys of a batch and the negatives they are scored with; early: the mutation that enqueues first."""
    seen = {}

    def record(q: Tensor, k: Tensor, *, queue: Tensor, tau: float) -> Tensor:
        seen["k"], seen["queue"] = nn.functional.normalize(k, dim=-1), queue
        return q.sum()

    monkeypatch.setattr(moco_module, "queue_info_nce", record)
    if early:
        method.queue.enqueue(method.target(x))
    method(x, x, generator=generator())
    return seen["k"], seen["queue"]


def test_a_key_never_meets_itself_as_a_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    x = batches(1)[0][0]
    for early in (False, True):
        method = tiny("moco", queue=40)
        k, queue = negatives_of(method, x, monkeypatch, early)
        nearest = (k @ queue.T).max(1).values
        if early:
            assert (nearest > 1 - 1e-9).all()  # its own copy, to rounding
        else:
            assert (nearest < 1 - 1e-3).all()  # 40 random directions in 6 dimensions: none within 2.5 degrees
            assert torch.allclose(method.queue.keys[: len(k)], k, atol=ROUNDING)  # they wait for the next batch


def moco_by_hand(method: Method, pairs: list[tuple[Tensor, Tensor]], m: float, tau: float) -> list[float]:
    """He et al.'s algorithm 1 in its own order: average, keys, logits, step, enqueue. A list is the queue."""
    f = method.branch
    f_k = copy.deepcopy(f)
    unit = partial(nn.functional.normalize, dim=-1)
    queue = list(unit(method.queue.keys))  # drawn in float32, so unit only to that
    losses = []
    for x, x_plus in pairs:
        with torch.no_grad():
            for p_k, p in zip(f_k.parameters(), f.parameters(), strict=True):
                p_k.copy_(m * p_k + (1 - m) * p)
            k = unit(f_k(x_plus))
        q = unit(f(x))
        logits = torch.cat([(q * k).sum(-1, keepdim=True), q @ torch.stack(queue).T], 1) / tau
        loss = nn.functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long))
        for p, g in zip(f.parameters(), torch.autograd.grad(loss, list(f.parameters())), strict=True):
            p.data.sub_(0.1 * g)
        queue = queue[len(k) :] + list(k)
        losses.append(loss.item())
    return losses


def moco_losses(pairs: list[tuple[Tensor, Tensor]]) -> list[float]:
    method = tiny("moco", queue=30, ema=0.7, tau=0.3)
    optimiser = torch.optim.SGD(method.parameter_groups(0.1, 0.0), 0.1)
    losses = []
    for k, (x, x_plus) in enumerate(pairs):
        optimiser.zero_grad()
        loss = method(x, x_plus, generator=generator())
        loss.backward()
        optimiser.step()
        method.after_step(k, len(pairs))
        losses.append(loss.item())
    return losses


def test_momentum_contrast_is_algorithm_1(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = batches(5)
    by_hand = moco_by_hand(tiny("moco", queue=30), pairs, m=0.7, tau=0.3)
    np.testing.assert_allclose(moco_losses(pairs), by_hand, rtol=ROUNDING)
    monkeypatch.setattr(MovingAverage, "follow", lambda self, online, step, steps: None)
    assert abs(moco_losses(pairs)[2] - by_hand[2]) > 1e-4  # a target that stays behind is seen


# ---- projectors


@pytest.mark.parametrize(
    ("head", "layers"),
    [
        (Head("none"), ["Identity"]),
        (Head("linear", dim=3), ["Linear"]),
        (Head("mlp", dim=3, hidden=4), ["Linear", "BatchNorm1d", "ReLU", "Linear"]),
        (Head("mlp", dim=3, hidden=4, norm=False, layers=3), ["Linear", "ReLU", "Linear", "ReLU", "Linear"]),
        (Head("mlp", dim=3, layers=1, output_norm=True), ["Linear", "BatchNorm1d"]),
    ],
)
def test_projectors_are_built_as_described(head: Head, layers: list[str]) -> None:
    projector = head.build(5, generator())
    parts = list(projector) if isinstance(projector, nn.Sequential) else [projector]
    assert [type(part).__name__ for part in parts] == layers
    z = projector(torch.rand(7, 5, generator=generator(1))).detach()
    assert z.shape == (7, head.size(5))
    biased = [part.bias is not None for part in parts if isinstance(part, nn.Linear)]
    followed = [
        type(after).__name__ == "BatchNorm1d"
        for part, after in zip(parts, [*parts[1:], None], strict=True)
        if isinstance(part, nn.Linear)
    ]
    if head.projector == "mlp":
        assert biased == [not norm for norm in followed]  # a batch norm would subtract the bias
    if head.output_norm:
        assert float(z.mean(0).abs().max()) < 1e-6 and not list(parts[-1].parameters())  # float32 rounding of a mean


def test_directclr_teaches_only_the_leading_features() -> None:
    method, (pair,) = (
        build("directclr", SHAPE, encoder="linear", width=16, generator=generator(), dim=5).double(),
        batches(1),
    )
    (weights,) = gradients(method, *pair)  # (16, 64): one row a feature
    assert torch.equal(weights[5:], torch.zeros(11, 64, dtype=torch.float64)) and (weights[:5].abs().sum(1) > 0).all()
    assert method.embed(pair[0]).shape == (12, 5) and method.features(pair[0]).shape == (12, 16)


# ---- bad values


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("byol", {"predictor": "cubic"}, "predictor 'cubic' is not one of none, linear"),
        ("byol", {"predictor_hidden": 0}, "predictor_hidden = 0: give"),
        ("byol", {"predictor_rate": 0.0}, "predictor_rate = 0.0: give"),
        ("byol", {"schedule": "step"}, "schedule 'step' is not one of constant"),
        ("byol", {"ema": 1.5}, "momentum = 1.5: give a number in"),
        ("simclr", {"projector": "deep"}, "projector 'deep' is not one of none"),
        ("simclr", {"dim": 0}, "dim = 0, hidden"),
        ("moco", {"queue": 0}, "queue = 0: give"),
        ("directpred", {"rho": 1.0}, "rho = 1.0: give"),
        ("directpred", {"freq": 0}, "freq = 0: give"),
        ("directpred", {"convention": "mine"}, "convention 'mine' is not known: use"),
        ("directset", {"norm": "l1"}, "norm 'l1' is not one of spectral"),
        ("directset", {"alpha": 0.0}, "alpha = 0.0: give"),
        ("lejepa", {"directions": 0}, "directions = 0: give"),
        ("supervised", {"classes": 0}, "classes = 0: give"),
        ("directclr", {"dim": 17}, "give a part of the 16 features"),
    ],
)
def test_values_that_make_no_sense_get_one_sentence(name: str, options: dict, sentence: str) -> None:
    with pytest.raises(MethodError, match=sentence) as caught:
        build(name, SHAPE, encoder="linear", width=16, generator=generator(), **options)
    assert "\n" not in str(caught.value)


def test_a_moving_average_takes_no_gradient_and_says_so() -> None:
    method = tiny("byol")
    with pytest.raises(MethodError, match="a moving-average target takes no gradient"):
        siamese_module.LatentPrediction(
            method.encoder, method.projector, method.predictor, method.distance, target=method.target, stop=False
        )
    assert not any(p.requires_grad for p in method.target.parameters())
    frozen = {id(p) for p in method.target.parameters()}
    assert not frozen & {id(p) for group in method.parameter_groups(1.0, 0.0) for p in group["params"]}
