"""Deep training: observables without a hole, replicas of their own, targets, rates, and collapse where it is due."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from full_model_cases import DEEP_SMALL

from dynamics.setting import ImageViews, Objective, Setting
from full_models.deep import Networks, _images, _start, _step, loss_of, train_deep
from full_models.deep_settings import DEEP
from full_models.nets import embed, initial_parameters

torch.set_num_threads(1)


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
    assert len(done) == run.facts["steps"] == 10  # t = 1 in steps of 0.1
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
    torch.testing.assert_close(nets.g["last"], f0 + 0.1 * 0.5 * (f1 - f0))  # lr beta; to float32


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
    torch.testing.assert_close(f_full, f - 0.1 * 0.1 * f0)  # lr eta; to float32
    decay = 0.1 if eta_p is None else eta_p
    torch.testing.assert_close(P_full, P0 + 2 * (P - P0) - 0.1 * decay * P0)  # alpha_p, lr eta_p; to float32


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
