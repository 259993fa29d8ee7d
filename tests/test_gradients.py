"""Flow = minus the autograd gradient of the torch loss; descent reaches the flow at slope 1. Two rooms that never met."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as options
from strategies import settings

from dynamics import invariance, predictor
from dynamics.convention import Convention
from dynamics.setting import GaussianViews, Objective, Setting, Training
from dynamics.simulate import flow
from dynamics.start import start
from dynamics.views import moments
from full_models.linear import descend, loss_gradient

ROUNDING = 1e-12  # a few products of 4 x 4 matrices of order one in float64


def velocities(setting: Setting):
    m, (W, P, V) = moments(setting), start(setting)
    return m, W, P, V, loss_gradient(setting.replace(training__eta=0.0), W, P, V)


@given(settings())
def test_predictor_flow_is_minus_the_gradient(setting: Setting) -> None:
    m, W, P, V, (gW, gP) = velocities(setting)
    dW, dP = predictor.field(W, P, V, m.A, m.C, 1.0, 0.0, 0.0)
    assert np.abs(dW - gW).max() < ROUNDING
    assert np.abs(dP - gP).max() < ROUNDING


@given(settings(objective__target="online", objective__stop_gradient=False))
def test_flow_without_stop_gradient_is_minus_the_gradient(setting: Setting) -> None:
    m, W, P, _, (gW, _) = velocities(setting)
    dW, _ = predictor.field(W, P, W, m.A, m.C, 1.0, 0.0, 0.0)
    assert np.abs(dW + predictor.target_gradient(W, P, m.B, m.C) - gW).max() < ROUNDING


@given(settings())
def test_matrix_fields_take_torch_tensors(setting: Setting) -> None:
    """The fields are written once for numpy arrays and torch tensors: a later batch on a GPU needs no second text."""
    m, (W, P, V) = moments(setting), start(setting)
    arrays = (W, P, V, m.A, m.C, 1.5, 0.1, 0.2)
    tensors = tuple(torch.from_numpy(x) if isinstance(x, np.ndarray) else x for x in arrays)
    for ours, theirs in zip(predictor.field(*arrays), predictor.field(*tensors), strict=True):
        assert np.abs(ours - theirs.numpy()).max() < ROUNDING
    at = torch.from_numpy(m.B)
    J = predictor.loss(W, P, V, m.A, m.B, m.C), predictor.loss(*tensors[:4], at, tensors[4])
    assert abs(float(J[0]) - float(J[1])) < ROUNDING
    dW = invariance.field(tensors[0], torch.from_numpy(m.S), 0.1).numpy()
    assert np.abs(dW - invariance.field(W, m.S, 0.1)).max() < ROUNDING


MUTANTS = {
    "sign of G": lambda W, P, V, m: -P.T @ predictor.residual_moment(W, P, V, m.A, m.C),
    "C transposed": lambda W, P, V, m: P.T @ predictor.residual_moment(W, P, V, m.A, m.C.T),
    "factor 2": lambda W, P, V, m: 2 * P.T @ predictor.residual_moment(W, P, V, m.A, m.C),
    "P not transposed": lambda W, P, V, m: P @ predictor.residual_moment(W, P, V, m.A, m.C),
    "A for C": lambda W, P, V, m: P.T @ predictor.residual_moment(W, P, V, m.A, m.A),
    "B for A": lambda W, P, V, m: P.T @ predictor.residual_moment(W, P, V, m.B, m.C),
    "target gradient kept": lambda W, P, V, m: (
        P.T @ predictor.residual_moment(W, P, V, m.A, m.C) + predictor.target_gradient(W, P, m.B, m.C)
    ),
    "no pull": lambda W, P, V, m: P.T @ V @ m.C.T,
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutated_flow_is_told_apart(name: str) -> None:
    setting = Setting(views=GaussianViews((1.0, 0.5), (0.25, 0.5), angle=0.4, twist=0.7, anchor=True))
    m, W, P, V, (gW, _) = velocities(setting)
    assert np.abs(MUTANTS[name](W, P, V, m) - gW).max() > 1e6 * ROUNDING  # wrong at order one, not at rounding


@options(max_examples=6)
@given(settings(training__t_end=0.5))
def test_descent_reaches_the_flow_at_slope_one(setting: Setting) -> None:
    end = flow(setting)["W"][0, -1]
    errors = [np.linalg.norm(descend(setting, lr=0.02 / 2**h)["W"][0, -1] - end) for h in range(3)]
    if errors[-1] > 1e-9:  # where the flow stands still there is no error to have an order
        assert abs(np.log2(errors[1] / errors[2]) - 1) < 0.1  # explicit Euler is of order 1; 0.1 is the design's law


@pytest.mark.parametrize("decay", ["coupled", "decoupled", "bare"])
def test_convention_maps_an_optimiser_to_flow_time(decay: str) -> None:
    """A heavy-ball run on ½ prefactor-c loss lands on the flow at the mapped t and eta, with an error that halves with lr."""
    c, momentum, steps = 1.0, 0.5, 200
    setting = Setting(objective=Objective(loss="invariance"))
    m, (W0, _, _) = moments(setting), start(setting)
    gaps = []
    for lr in (0.004, 0.002):
        wd = {"coupled": 0.3, "decoupled": 0.3, "bare": 0.3 * lr}[decay]
        convention = Convention(prefactor=c, lr=lr, momentum=momentum, weight_decay=wd, decay=decay)
        n = round(steps * 0.004 / lr)
        W, velocity = W0.copy(), np.zeros_like(W0)
        for _ in range(n):
            gradient = 2 * c * W @ m.S + (wd * W if decay == "coupled" else 0)
            velocity = momentum * velocity + gradient
            W = W - lr * velocity - {"coupled": 0, "decoupled": lr * wd * W, "bare": wd * W}[decay]
        training = Training(t_end=n * convention.time_per_step, points=2, eta=convention.eta)
        end = flow(Setting(objective=Objective(loss="invariance"), training=training))["W"][0, -1]
        gaps.append(np.linalg.norm(W - end))
    assert abs(np.log2(gaps[0] / gaps[1]) - 1) < 0.15  # O(lr) error; 0.15 leaves room for the O(lr²) start of momentum


def test_torch_weight_decay_is_not_the_bare_decay() -> None:
    coupled = Convention(prefactor=0.5, lr=0.03, weight_decay=4e-4)
    bare = Convention(prefactor=0.5, lr=0.03, weight_decay=4e-4, decay="bare")
    assert np.isclose(bare.eta / coupled.eta, 1 / 0.03)  # the 33-fold trap of Tian et al.'s eta_bar
