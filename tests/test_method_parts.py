"""The parts of methods against what the papers write, computed here a second time in numpy or by hand."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from full_models import networks
from full_models.methods import Method, MethodError, build
from full_models.methods import moco as moco_module
from full_models.methods import siamese as siamese_module
from full_models.methods.analytic import AnalyticPredictor, Rule, direct_pred, direct_set, optimal
from full_models.methods.predictor import LinearPredictor
from full_models.methods.projector import Head
from full_models.methods.queue import KeyQueue
from full_models.methods.target import MovingAverage, momentum, stop_gradient

SHAPE = (1, 8, 8)
ROUNDING = 1e-12  # float64 results of some hundred operations on numbers of order 1, times a condition number of 100


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny(name: str, **options: object) -> Method:
    """A float64 method on 8 x 8 images with a linear encoder, so that nothing is invariant but what the loss makes so."""
    options = {"dim": 6, "hidden": 12, **options}
    return build(name, SHAPE, encoder="linear", width=16, generator=generator(), **options).double()


def batches(count: int, n: int = 12, seed: int = 1) -> list[tuple[Tensor, Tensor]]:
    g = generator(seed)
    x = torch.rand(count, n, *SHAPE, generator=g, dtype=torch.float64)
    return list(zip(x, x + 0.1 * torch.randn(x.shape, generator=g, dtype=torch.float64), strict=True))


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
    method.after_step(0, 10)
    before = target["1.running_mean"].clone()
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


# ---- predictors


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
        assert float(z.mean(0).abs().max()) < 1e-6 and not list(parts[-1].parameters())


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


def test_an_analytic_predictor_is_a_parameter_only_where_it_descends() -> None:
    for freq in (1, 3):
        predictor = networks.build(partial(AnalyticPredictor, 3, optimal, freq=freq), generator())
        assert predictor.P.requires_grad == (freq > 1)
