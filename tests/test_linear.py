"""The linear torch rungs against themselves and against finite differences: no flow formula is used here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from full_model_cases import LINEAR

from dynamics.run import Run
from dynamics.setting import ImageViews, Setting
from dynamics.start import start
from dynamics.views import moments
from full_models.linear import descend, loss_gradient, minibatch_loss, optimal_predictor, population_loss, sgd

torch.set_num_threads(1)
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
    assert run.facts["steps"] == 400  # t = 8 in steps of 0.02
    assert run.facts["seconds"] < 5  # 0.4 s on one idle core; room for a busy machine
    assert all(np.isfinite(value).all() for value in run.obs.values())
