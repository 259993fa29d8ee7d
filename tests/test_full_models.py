"""The torch rungs against themselves and against finite differences: no flow formula is used here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dynamics.run import Run
from dynamics.setting import (
    GaussianViews,
    ImageViews,
    Network,
    Objective,
    PointViews,
    Setting,
    SettingError,
    Training,
)
from dynamics.start import start
from dynamics.views import moments
from full_models.deep import Networks, _images, _start, _step, loss_of, train_deep
from full_models.deep_settings import DEEP
from full_models.ensemble import sgd_ensemble
from full_models.linear import descend, loss_gradient, minibatch_loss, optimal_predictor, population_loss, sgd
from full_models.nets import embed, initial_parameters

torch.set_num_threads(1)

LINEAR = Setting(
    views=GaussianViews((1.0, 0.7, 0.4), (0.2, 0.3, 0.1), angle=0.4, twist=0.5),
    network=Network(k=2),
    training=Training(t_end=2.0, points=3, eta=0.05, alpha_p=1.5, beta=0.7, lr=0.02, batch=16),
    seed=3,
)
DEEP_LINEAR = LINEAR.replace(network__kind="mlp")  # names a network that the linear rungs do not train
DEEP_SMALL = DEEP["simsiam-mlp"].replace(views__count=64, training__t_end=1.0, training__points=3)
VARIANTS = {
    "predictor": LINEAR,
    "symmetrised": LINEAR.replace(objective__symmetrised=True),
    "through the target": LINEAR.replace(objective__stop_gradient=False),
    "symmetric P": LINEAR.replace(objective__predictor="symmetric"),
    "no predictor": LINEAR.replace(objective__predictor="none"),
    "optimal": LINEAR.replace(objective__predictor="optimal"),
    "ema": LINEAR.replace(objective__target="ema", network__tau0=0.5),
    "invariance": LINEAR.replace(objective__loss="invariance"),
    "images": LINEAR.replace(views=ImageViews(d=3, count=64)),
}


def first_steps(setting: Setting) -> Run:
    """2000 replicas of one SGD step from the same start, in a Run whose dW, dP are the population's velocity."""
    lr = setting.training.lr
    return sgd(setting.replace(training__t_end=lr, training__points=2), replicas=2000)


def standard_errors_off(run: Run, W_velocity: np.ndarray) -> float:
    """Largest |mean of the measured steps - W_velocity| in standard errors of that mean (n = 2000 replicas)."""
    steps = (run["W"][:, 1] - run["W"][:, 0]) / run.facts["lr"]
    return float(np.max(np.abs(steps.mean(0) - W_velocity) / (steps.std(0) / np.sqrt(len(steps)))))


@pytest.mark.parametrize("name", VARIANTS)
def test_minibatch_gradients_average_to_the_population_gradient(name: str) -> None:
    run = first_steps(VARIANTS[name])
    assert standard_errors_off(run, run["dW"][0, 0]) < 4  # 4 standard errors, n = 2000 minibatches of 16
    P_steps = (run["P"][:, 1] - run["P"][:, 0]) / run.facts["lr"]
    error = np.abs(P_steps.mean(0) - run["dP"][0, 0])
    if name != "optimal":  # there P follows W rather than a gradient
        bound = 4 * P_steps.std(0) / np.sqrt(len(P_steps))
        assert (error <= bound + 1e-13).all()  # 4 standard errors, n = 2000; 1e-13: rounding where P stands still


def test_the_average_of_minibatch_gradients_tells_a_wrong_loss() -> None:
    run = first_steps(LINEAR)
    for wrong in (LINEAR.replace(objective__stop_gradient=False), LINEAR.replace(views__twist=-0.5)):
        dW, _ = loss_gradient(wrong, *start(LINEAR))
        off = standard_errors_off(run, dW - LINEAR.training.eta * run["W"][0, 0])
        assert off > 20  # the right loss is within 4; a wrong one must not be near that


@pytest.mark.parametrize("loss", ["predictor", "invariance"])
def test_minibatch_loss_of_the_whole_pool_is_the_population_loss(loss: str) -> None:
    rng = np.random.default_rng(0)
    x, x_plus, W, V, P = (torch.from_numpy(rng.standard_normal(s)) for s in ((50, 3), (50, 3), (2, 3), (2, 3), (2, 2)))
    A, B, C = x.T @ x / 50, x_plus.T @ x_plus / 50, x.T @ x_plus / 50
    sampled = minibatch_loss(W, P, V, torch.cat([x, x_plus], -1), loss)
    assert sampled == pytest.approx(
        population_loss(W, P, V, A, B, C, loss).item(), rel=1e-13
    )  # a sum of ~1e3 rounded float64 terms


@pytest.mark.parametrize("name", ["predictor", "through the target", "no predictor", "invariance", "ema"])
def test_gradient_is_the_finite_difference_of_the_loss_with_the_target_frozen_or_not(name: str) -> None:
    setting = VARIANTS[name]
    m = moments(setting)
    A, B, C = (torch.from_numpy(M) for M in (m.A, m.B, m.C))
    W, P, V = start(setting)
    shared = name == "through the target"

    def J(W: np.ndarray, P: np.ndarray) -> float:
        target = W if shared else V
        args = (torch.from_numpy(M) for M in (W, P, target))
        return population_loss(*args, A, B, C, setting.objective.loss).item()

    dW, dP = loss_gradient(setting, W, P, V)
    learned = name not in ("no predictor", "invariance")
    for gradient, M, at in ((dW, W, 0), (dP, P, 1)):
        for i in np.ndindex(M.shape):
            e = np.zeros_like(M)
            e[i] = 1e-4
            up, down = ((W + s * e, P) if at == 0 else (W, P + s * e) for s in (1, -1))
            expected = -(J(*up) - J(*down)) / 2e-4 if at == 0 or learned else 0.0
            assert gradient[i] == pytest.approx(expected, abs=1e-7)  # e² of the quartic J and rounding / e: ~1e-8


def test_optimal_predictor_leaves_no_gradient_in_P() -> None:
    W, _, V = start(VARIANTS["ema"])
    m = moments(LINEAR)
    P = optimal_predictor(*(torch.from_numpy(M) for M in (W, V, m.A, m.C))).numpy()
    _, dP = loss_gradient(LINEAR, W, P, V)
    assert np.abs(dP).max() < 1e-12  # zero up to the rounding of a 2x2 solve
    run = descend(VARIANTS["optimal"])
    assert np.isfinite(run["P"]).all()


@pytest.mark.parametrize("name", ["predictor", "symmetrised", "images"])
def test_a_replica_does_not_depend_on_how_many_run_beside_it(name: str) -> None:
    few, many, later = (sgd(VARIANTS[name], n, seed0=s) for n, s in ((2, 0), (40, 0), (1, 1)))
    for key in ("W", "P", "dW", "loss"):
        np.testing.assert_allclose(few[key], many[key][:2], rtol=1e-9)  # batched products may round differently
        np.testing.assert_allclose(later[key][0], few[key][1], rtol=1e-9)  # the same
    assert np.abs(many["W"][0, -1] - many["W"][1, -1]).max() > 1e-3  # and each has noise of its own
    again = sgd(VARIANTS[name], 2)
    assert all(np.array_equal(again[key], few[key]) for key in few.obs)


@pytest.mark.parametrize("name", ["predictor", "symmetric P", "ema", "optimal", "invariance"])
def test_descent_is_first_order_in_its_step(name: str) -> None:
    ends = [descend(VARIANTS[name], lr)["W"][0, -1] for lr in (0.02, 0.01, 0.005)]
    limit = 2 * ends[2] - ends[1]  # Richardson: its own error is O(lr²)
    coarse, fine = (np.linalg.norm(W - limit) for W in ends[:2])
    assert abs(np.log2(coarse / fine) - 1) < 0.1  # explicit Euler is of order 1; the issue is 1 +- 0.1


def test_the_target_of_descent_follows_the_average_it_is_defined_as() -> None:
    """One step: V moves towards where W was; the flow value differs from any other ordering by O(lr)."""
    setting = VARIANTS["ema"].replace(training__t_end=0.1, training__points=2)
    run = descend(setting, lr=0.1)
    W0, _, V0 = start(setting)
    np.testing.assert_allclose(run["V"][0, 1], V0 + 0.1 * 0.7 * (W0 - V0), rtol=1e-14)  # one Euler step, rounded
    frozen = descend(setting.replace(training__beta=0.0))
    assert np.array_equal(frozen["V"][0, 1], V0)


@pytest.mark.parametrize("eta_p", [None, 0.3])
def test_rates_and_decays_of_a_linear_step(eta_p: float | None) -> None:
    setting = LINEAR.replace(training__t_end=0.1, training__points=2, training__eta_p=eta_p)
    run = descend(setting, lr=0.1)
    W, P, V = start(setting)
    dW, dP = loss_gradient(setting, W, P, V)
    decay = 0.05 if eta_p is None else eta_p
    np.testing.assert_allclose(run["W"][0, 1], W + 0.1 * (dW - 0.05 * W), rtol=1e-12)  # one Euler step, rounded
    np.testing.assert_allclose(run["P"][0, 1], P + 0.1 * (1.5 * dP - decay * P), rtol=1e-12)  # the same


@pytest.mark.parametrize("lr", [0.02, 0.03, 0.7, 5.0])
def test_recorded_times_are_hit_exactly(lr: float) -> None:
    run = descend(LINEAR, lr)
    np.testing.assert_array_equal(run.t, [0, 1, 2])
    assert run.facts["lr"] * run.facts["steps"] == pytest.approx(2, rel=1e-14)  # the steps fill t_end up to rounding
    assert run.facts["lr"] <= lr
    assert run["W"].shape == (1, 3, 2, 3)
    assert run["loss"].shape == (1, 3)


def test_linear_collapse_without_a_predictor_and_none_with_it() -> None:
    setting = LINEAR.replace(views__twist=0.0, network__start="aligned", training__eta=0.0, training__t_end=60.0)
    kept = descend(setting)["W"][0]
    lost = descend(setting.replace(objective__predictor="none"))["W"][0]
    assert np.linalg.norm(kept[-1]) > 0.5 * np.linalg.norm(kept[0])  # the predictor reaches its optimum first
    assert np.linalg.norm(lost[-1]) < 0.01 * np.linalg.norm(lost[0])  # exp(-0.1 · 60) = 0.0025 in the noise 0.1


def test_linear_speed_and_finiteness() -> None:
    run = sgd(LINEAR.replace(training__t_end=8.0, training__points=9, training__batch=64), 64)
    assert run.facts["steps"] == 400
    assert run.facts["seconds"] < 5  # 0.4 s on one idle core; room for a busy machine
    assert all(np.isfinite(value).all() for value in run.obs.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: descend(LINEAR.replace(objective__loss="info_nce")), "use 'predictor' or 'invariance'"),
        (lambda: descend(LINEAR, lr=-1.0), "give a finite step > 0"),
        (lambda: descend(LINEAR, lr=float("nan")), "give a finite step > 0"),
        (lambda: descend(LINEAR.replace(training__t_end=4000.0), lr=40.0), "lr = 40.*smaller training.lr"),
        (lambda: sgd(LINEAR, 0), "replicas is 0"),
        (lambda: sgd(LINEAR, 1.5), r"replicas is 1\.5: give a whole number >= 1"),
        (lambda: sgd(LINEAR, 1, seed0=-1), "seed0 is -1: give a whole number >= 0"),
        (lambda: sgd(LINEAR, 1, seed0=0.5), r"seed0 is 0\.5: give a whole number >= 0"),
        (lambda: descend(DEEP_LINEAR), "network.kind 'mlp' is no linear network: use 'linear'"),
        (lambda: sgd(DEEP_LINEAR, 1), "network.kind 'mlp' is no linear network: use 'linear'"),
        (lambda: loss_gradient(DEEP_LINEAR, *start(LINEAR)), "network.kind 'mlp' is no linear network: use 'linear'"),
        (lambda: minibatch_loss(*[torch.ones(2, 2)] * 3, torch.ones(5, 4), "invarience"), "'invarience' has no linear"),
        (lambda: population_loss(*[torch.ones(2, 2)] * 6, "invarience"), "'invarience' has no linear network here"),
        (lambda: sgd(LINEAR.replace(views=PointViews()), 1), "no linear moments"),
        (lambda: train_deep(LINEAR), "no images"),
        (lambda: train_deep(DEEP_SMALL, 0), "replicas is 0"),
        (lambda: train_deep(DEEP_SMALL, 1.5), r"replicas is 1\.5: give a whole number >= 1"),
        (lambda: train_deep(DEEP_SMALL.replace(network__kind="linear")), "use 'mlp' or 'resnet'"),
        (lambda: train_deep(DEEP_SMALL.replace(objective__predictor="optimal")), "large training.alpha_p"),
        (lambda: train_deep(DEEP_SMALL.replace(objective__loss="nt_xent")), "use invariance or predictor"),
        (lambda: train_deep(DEEP_SMALL.replace(network__start="balanced")), "generic, symmetric or aligned"),
        (lambda: train_deep(DEEP_SMALL.replace(network__tau0=0.5)), "starts as a copy"),
        (lambda: train_deep(DEEP_SMALL.replace(network__kind="resnet", views__d=5)), "set views.d = 0"),
        (lambda: train_deep(DEEP_SMALL.replace(training__lr=500.0, training__t_end=1e5)), "smaller training.lr"),
    ],
)
def test_bad_input_says_what_to_do(call, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        call()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has the device")
def test_an_absent_gpu_is_named() -> None:
    with pytest.raises(SettingError, match="no CUDA GPU, use device = 'cpu'"):
        train_deep(DEEP_SMALL, 1, device="cuda")


@pytest.mark.parametrize("kind", ["mlp", "resnet"])
@pytest.mark.parametrize("change", [{}, {"objective__target": "ema"}, {"objective__loss": "invariance"}])
def test_deep_observables_have_their_shapes_and_no_hole(kind: str, change: dict[str, str]) -> None:
    done: list[float] = []
    run = train_deep(DEEP_SMALL.replace(network__kind=kind, **change), 2, on_step=done.append)
    shapes = {name: value.shape for name, value in run.obs.items()}
    scalar = dict.fromkeys(("erank", "variance", "alignment", "loss", "knn", "mean"), (2, 3))
    vector = dict.fromkeys(("spectrum", "p", "s", "cosine"), (2, 3, 8))
    assert shapes == {**scalar, **vector, "P": (2, 3, 8, 8)}
    assert all(np.isfinite(value).all() for value in run.obs.values())
    assert (run["spectrum"] >= 0).all()
    assert ((run["knn"] >= 0) & (run["knn"] <= 1)).all()
    assert len(done) == run.facts["steps"] == 10
    assert done[-1] == 1.0


def test_deep_replicas_are_their_own_and_reproducible() -> None:
    run, again, alone = (train_deep(DEEP_SMALL, n) for n in (2, 2, 1))
    assert np.array_equal(run["P"], again["P"])
    np.testing.assert_allclose(alone["P"][0], run["P"][0], rtol=1e-4, atol=1e-6)  # float32, 10 steps
    assert np.abs(run["P"][0] - run["P"][1]).max() > 0.1  # other starts
    fixed = train_deep(DEEP_SMALL.replace(objective__predictor="none"), 1)["P"]
    assert (fixed == np.eye(8)).all()


@pytest.mark.parametrize("kind", ["mlp", "resnet"])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_the_target_gets_a_gradient_only_without_stop_gradient(kind: str, stop_gradient: bool) -> None:
    setting = DEEP_SMALL.replace(network__kind=kind, objective__stop_gradient=stop_gradient)
    images = _images(setting, "cpu")
    nets = _start(setting, (8, 8), [np.random.default_rng(0)], "cpu")
    leaf = {name: M.clone().requires_grad_() for name, M in nets.f.items()}
    apart = Networks(nets.f, nets.P, leaf)
    for M in nets.f.values():
        M.requires_grad_()
    J = loss_of(setting, apart, images.pairs[None, :8, 0], images.pairs[None, :8, 1], (8, 8)).sum()
    gradients = torch.autograd.grad(J, list(leaf.values()), allow_unused=True)
    if stop_gradient:
        assert all(g is None for g in gradients)
    else:
        assert all(g is not None and torch.isfinite(g).all() for g in gradients)
        assert any(g.abs().max() > 0 for g in gradients if g is not None)


def test_the_ema_target_is_a_copy_that_moves_at_its_own_rate() -> None:
    setting = DEEP_SMALL.replace(objective__target="ema", training__beta=0.5)
    images = _images(setting, "cpu")
    nets = _start(setting, (8, 8), [np.random.default_rng(0)], "cpu")
    x, x_plus = images.pairs[None, :32, 0], images.pairs[None, :32, 1]
    f0 = nets.f["last"].clone()
    _step(setting, nets, x, x_plus, (8, 8), 0.1)
    assert torch.equal(nets.g["last"], f0)  # it started as f and moves towards where f was: not at all
    f1 = nets.f["last"].clone()
    assert not torch.equal(f1, f0)
    _step(setting, nets, x, x_plus, (8, 8), 0.1)
    torch.testing.assert_close(nets.g["last"], f0 + 0.1 * 0.5 * (f1 - f0))


@pytest.mark.parametrize("eta_p", [None, 0.3])
def test_rates_and_decays_of_a_deep_step(eta_p: float | None) -> None:
    """A step is affine in the rates: gradients from a step without decay predict the step with alpha_p and decay."""
    plain = DEEP_SMALL.replace(training__alpha_p=1.0, training__eta=0.0)
    full = plain.replace(training__alpha_p=2.0, training__eta=0.1, training__eta_p=eta_p)
    images = _images(plain, "cpu")
    x, x_plus = images.pairs[None, :32, 0], images.pairs[None, :32, 1]
    after = {}
    for name, setting in (("plain", plain), ("full", full)):
        nets = _start(setting, (8, 8), [np.random.default_rng(0)], "cpu")
        f0, P0 = nets.f["last"].clone(), nets.P.clone()
        _step(setting, nets, x, x_plus, (8, 8), 0.1)
        after[name] = (nets.f["last"], nets.P, f0, P0)
    (f, P, f0, P0), (f_full, P_full, _, _) = after["plain"], after["full"]
    torch.testing.assert_close(f_full, f - 0.1 * 0.1 * f0)
    decay = 0.1 if eta_p is None else eta_p
    torch.testing.assert_close(P_full, P0 + 2 * (P - P0) - 0.1 * decay * P0)


def test_the_resnet_keeps_replicas_apart() -> None:
    rngs = [np.random.default_rng(i) for i in range(3)]
    parameters = initial_parameters("resnet", (28, 28), 4, 1.0, rngs)
    x = torch.randn(3, 5, 784, generator=torch.Generator().manual_seed(0))
    together = embed("resnet", parameters, x, (28, 28))
    for r in range(3):
        alone = embed("resnet", {n: M[r : r + 1] for n, M in parameters.items()}, x[r : r + 1], (28, 28))
        torch.testing.assert_close(together[r : r + 1], alone, rtol=1e-4, atol=1e-5)  # float32, 10 layers


def test_paired_images_without_labels_train_too(tmp_path) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((20, 4, 4))
    np.savez(tmp_path / "pairs.npz", x=x, x_plus=x + 0.1 * rng.standard_normal(x.shape))
    views = ImageViews(data=str(tmp_path / "pairs.npz"), augment="pairs", d=0)
    setting = DEEP_SMALL.replace(views=views, objective=Objective(symmetrised=True))
    run = train_deep(setting, 1)
    assert "knn" not in run.obs
    assert np.isfinite(run["loss"]).all()


def test_deep_networks_collapse_without_predictor_or_stop_gradient_but_not_with_both() -> None:
    left = {}
    for name in ("simsiam-mlp", "simsiam-mlp-no-predictor", "simsiam-mlp-no-stopgrad", "simsiam-mlp-strong-decay"):
        variance = train_deep(DEEP[name], 3)["variance"]
        left[name] = variance[:, -1] / variance[:, 0]
    kept = left.pop("simsiam-mlp")
    assert kept.min() > 0.5  # measured 1.1 to 1.6
    assert max(v.max() for v in left.values()) < 0.02  # measured 0.004 at most, and falling


def test_the_registry_round_trips() -> None:
    assert all(Setting.from_json(s.to_json()) == s for s in DEEP.values())


@pytest.mark.parametrize("train", [descend, lambda s: sgd(s, 2), lambda s: sgd_ensemble([s], 2)])
def test_steps_without_end_are_refused_before_the_first(train: Callable[[Setting], object]) -> None:
    with pytest.raises(SettingError, match=r"takes 1e\+09 steps of 1: give a shorter training\.t_end"):
        train(Setting().replace(training__t_end=1e9, training__lr=1.0))
    with pytest.raises(SettingError, match="takes inf steps of 1e-10: give a shorter"):  # more than a float holds
        train(Setting().replace(training__t_end=1e300, training__lr=1e-10))
    with pytest.raises(SettingError, match=r"takes 1e\+09 steps of 8e-09: .* or fewer training\.points"):
        train(Setting().replace(training__points=10**9 + 1))


def test_deep_steps_without_end_are_refused_before_the_first() -> None:
    with pytest.raises(SettingError, match=r"takes 1e\+09 steps of 1: give a shorter training\.t_end"):
        train_deep(DEEP_SMALL.replace(training__t_end=1e9, training__lr=1.0), 1)


@pytest.mark.parametrize("train", [descend, lambda s: sgd(s, 2)])
def test_a_target_that_diverges_alone_is_a_divergence(train: Callable[[Setting], Run]) -> None:
    """Under the invariance loss nothing else feels it: W and P stay finite where V is NaN."""
    alone = LINEAR.replace(
        objective__loss="invariance", objective__target="ema", training__beta=1e4, training__t_end=8.0
    )
    with pytest.raises(SettingError, match=r"training diverged by t = 4 .*norm nan.*smaller training\.lr"):
        train(alone)
