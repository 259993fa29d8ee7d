"""What the torch rungs cannot train is one sentence with its remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from full_model_cases import DEEP_SMALL, LINEAR

from dynamics.run import Run
from dynamics.setting import PointViews, Setting, SettingError
from dynamics.start import start
from full_models.deep import train_deep
from full_models.ensemble import sgd_ensemble
from full_models.linear import descend, loss_gradient, minibatch_loss, population_loss, sgd

torch.set_num_threads(1)
DEEP_LINEAR = LINEAR.replace(network__kind="mlp")  # names a network that the linear rungs do not train


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
