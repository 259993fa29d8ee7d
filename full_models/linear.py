"""Linear networks trained from their loss: full-batch descent and minibatch SGD, float64, gradients by autograd only.

    predictor   J = ½ E‖P W x - V x⁺‖²        invariance   J = ½ E‖W x - W x⁺‖²

W (…, k, d) online encoder, P (…, k, k) predictor, V (…, k, d) target. One step of size h is

    W ← W - h (∂J/∂W + eta W)     P ← P - h (alpha_p ∂J/∂P + eta_p P)     V ← V + h beta (W_old - V), or V ← W

so each rung's trajectory differs from the gradient flow by O(h), and time is t = h · steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dynamics.run import Array, Run
from dynamics.setting import Setting, SettingError
from dynamics.start import check_run, start
from dynamics.views import moments
from full_models.optimum import optimum
from full_models.pairs import sample_pairs, stream_numbers
from full_models.schedule import schedule

NORM_LIMIT = 1e6  # start weights are of norm ~1: beyond this a run has left every regime the theory speaks of
LOSSES = ("predictor", "invariance")


class State(NamedTuple):
    """W (…, k, d), P (…, k, k), V (…, k, d); also used for their velocities."""

    W: Tensor
    P: Tensor
    V: Tensor


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # (W, P, V) -> J (…)


def check_linear(setting: Setting) -> None:
    """Raises SettingError unless the Setting is of a linear network with a loss that has one."""
    if setting.network.kind != "linear":
        raise SettingError(
            f"network.kind {setting.network.kind!r} is no linear network: use 'linear', or full_models.deep.train_deep"
        )
    check_loss(setting.objective.loss)


def check_loss(loss: str) -> None:
    """Raises SettingError unless a linear network has this objective.loss."""
    if loss not in LOSSES:
        raise SettingError(f"objective.loss {loss!r} has no linear network here: use 'predictor' or 'invariance'")


def population_loss(
    W: Tensor, P: Tensor, V: Tensor, A: Tensor, B: Tensor, C: Tensor, loss: str = "predictor"
) -> Tensor:
    """J (…) over leading axes; exact. A = E[x xᵀ], B = E[x⁺ x⁺ᵀ], C = E[x x⁺ᵀ].

    "predictor": ½ tr(D M Dᵀ), D = [P W, V], M = [[A, -C], [-Cᵀ, B]].  "invariance": ½ tr(W S Wᵀ), S = A + B - C - Cᵀ.
    Pass V = W for gradients through both branches, V detached for a stop-gradient. Raises SettingError on other losses.
    """
    if loss == "invariance":
        return _quadratic(W, (A + B - C - C.mT) / 2)
    check_loss(loss)
    return _quadratic(torch.cat([_product(P, W), V], -1), _half_joint(A, B, C))


def minibatch_loss(W: Tensor, P: Tensor, V: Tensor, pairs: Tensor, loss: str = "predictor") -> Tensor:
    """J (…) as an average over the n rows [x, x⁺] of pairs (…, n, 2 d); its expectation is `population_loss`. Sampled.

    The error P W x - V x⁺ is taken as [P W, -V] [x; x⁺]: one product of many rows instead of three. Raises SettingError on
    other losses.
    """
    if loss == "invariance":
        x, x_plus = pairs.chunk(2, -1)
        error = _product(x - x_plus, W.mT)
    else:
        check_loss(loss)
        error = _product(pairs, torch.cat([_product(P, W), -V], -1).mT)
    return error.square().sum((-2, -1)) / (2 * pairs.shape[-2])


def optimal_predictor(W: Tensor, V: Tensor, A: Tensor, C: Tensor) -> Tensor:
    """argmin_P J = V Cᵀ Wᵀ (W A Wᵀ)⁺ (…, k, k); of all minimisers the least in norm where W A Wᵀ is singular. Exact."""
    return optimum(A, C)(W, V)


def loss_gradient(setting: Setting, W: Array | Tensor, P: Array | Tensor, V: Array | Tensor) -> tuple[Array, Array]:
    """(-∂J/∂W, -∂J/∂P), shapes of W and P, by autograd of the population loss: no decay, no alpha_p. Exact.

    V is a constant, except that without stop-gradient an online target is W itself (the V given is not used). -∂J/∂P is
    symmetrised for predictor = "symmetric", and 0 where P is no parameter ("none", "optimal", the invariance loss).
    """
    state = State(*(torch.as_tensor(M, dtype=torch.float64) for M in (W, P, V)))
    gW, gP = _gradient(setting, _population(setting), state)
    return -gW.numpy(), -gP.numpy()


def descend(setting: Setting, lr: float | None = None) -> Run:
    """Full-batch gradient descent on the population loss; source "descent", R = 1, deterministic.

    lr: largest step (None: training.lr); each recording interval dt takes ceil(dt / lr) steps of one size, so that the
    `training.points` times in [0, t_end] are hit exactly. obs as `sgd`'s. Raises SettingError for what makes no sense, and if
    the run diverges.
    """
    loss = _population(setting)
    state = State(*(torch.from_numpy(M)[None] for M in start(setting)))
    return _train(setting, "descent", state, lr, lambda: loss)


def sgd(setting: Setting, replicas: int, lr: float | None = None, seed0: int = 0) -> Run:
    """Minibatch SGD of `replicas` copies from one start, each with its own stream of pairs; source "sgd". Sampled.

    Replica r draws from SeedSequence([seed, 4, seed0 + r]), so its path does not depend on how many run beside it:
    Gaussian pairs with the Setting's moments, or two views (with replacement) of an image of the pool. A symmetrised
    objective averages both directions of each pair. obs (R, T, …): W, P, V; their velocities per unit t at that state,
    dW, dP minus the autograd gradient of the *population* loss with decay (dP = 0 where P is not learned), dV =
    beta (W - V), or dW for an online target; loss, the population J. facts: lr (the step taken), steps, seconds.
    Raises SettingError for what makes no sense, and if a run diverges.
    """
    numbers = stream_numbers(replicas, seed0)
    W, P, V = (torch.from_numpy(M).expand(replicas, *M.shape).clone() for M in start(setting))
    pairs = sample_pairs(setting, numbers)
    return _train(setting, "sgd", State(W, P, V), lr, lambda: _minibatch(setting, next(pairs)))


def _quadratic(D: Tensor, M: Tensor) -> Tensor:
    """tr(D M Dᵀ) (…): one form, halves and signs in M, because a step of a small network costs its number of torch calls."""
    return (_product(D, M) * D).sum((-2, -1))


def _product(X: Tensor, Y: Tensor) -> Tensor:
    """X @ Y. Of stacks (R, ·, ·) by bmm itself: the views that @ puts around it take a small step twice as long."""
    if X.ndim == 3 and Y.ndim == 2 and len(X) == 1:
        Y = Y[None]
    return torch.bmm(X, Y) if X.ndim == Y.ndim == 3 and len(X) == len(Y) else X @ Y


def _half_joint(A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """½ E[e eᵀ] of e = [x; -x⁺], so that P W x - V x⁺ = [P W, V] e."""
    return torch.cat([torch.cat([A, -C], -1), torch.cat([-C.mT, B], -1)], -2) / 2


def _population(setting: Setting) -> Loss:
    """`population_loss` of the Setting's views, its moments put together once. Raises SettingError where it has none."""
    check_linear(setting)
    m = moments(setting)
    A, B, C = (torch.from_numpy(M) for M in (m.A, m.B, m.C))
    if setting.objective.loss != "predictor":
        return lambda W, P, V: population_loss(W, P, V, A, B, C, setting.objective.loss)
    M = _half_joint(A, B, C)
    return lambda W, P, V: _quadratic(torch.cat([_product(P, W), V], -1), M)


def _minibatch(setting: Setting, pairs: Tensor) -> Loss:
    name = setting.objective.loss
    if not setting.objective.symmetrised:
        return lambda W, P, V: minibatch_loss(W, P, V, pairs, name)
    swapped = torch.cat(pairs.chunk(2, -1)[::-1], -1)
    return lambda W, P, V: (minibatch_loss(W, P, V, pairs, name) + minibatch_loss(W, P, V, swapped, name)) / 2


def _learns_predictor(setting: Setting) -> bool:
    return setting.objective.loss == "predictor" and setting.objective.predictor in ("linear", "symmetric")


def _gradient(setting: Setting, loss: Loss, state: State) -> tuple[Tensor, Tensor]:
    """(∂J/∂W, ∂J/∂P) of each replica by autograd; which of W, P, V are parameters is the objective's affair."""
    objective = setting.objective
    learned = _learns_predictor(setting)
    W = state.W.detach().requires_grad_()
    P = state.P.detach().requires_grad_(learned)
    through_target = not objective.stop_gradient and objective.target == "online"
    V = W if through_target else state.V.detach()
    J = loss(W, P, V)
    each = torch.ones_like(J)  # replicas do not interact: the gradient of their sum is each one's own
    if not learned:
        return torch.autograd.grad(J, W, each)[0], torch.zeros_like(P)
    gW, gP = torch.autograd.grad(J, (W, P), each)
    return gW, (gP + gP.mT) / 2 if objective.predictor == "symmetric" else gP


def _velocity(setting: Setting, loss: Loss, state: State) -> State:
    """(dW, dP, dV) per unit t of the parameters under gradient and decay; P that is no parameter stands still here."""
    training = setting.training
    gW, gP = _gradient(setting, loss, state)
    dW = torch.add(gW, state.W, alpha=training.eta).neg_()
    dP = gP  # 0 where P is no parameter
    if _learns_predictor(setting):
        eta_p = training.eta if training.eta_p is None else training.eta_p
        dP = torch.add(training.alpha_p * gP, state.P, alpha=eta_p).neg_()
    dV = training.beta * (state.W - state.V) if setting.objective.target == "ema" else dW
    return State(dW, dP, dV)


def _settling(setting: Setting) -> Callable[[State], State]:
    """What sets an online target to W, and an optimal predictor to its optimum."""
    o, m = setting.objective, moments(setting)
    best = optimum(torch.from_numpy(m.A), torch.from_numpy(m.C)) if o.predictor == "optimal" else None

    def settle(state: State) -> State:
        V = state.V if o.target == "ema" else state.W
        return State(state.W, best(state.W, V) if best else state.P, V)

    return settle


def _train(setting: Setting, source: str, state: State, lr: float | None, batch_loss: Callable[[], Loss]) -> Run:
    """The one training loop: `batch_loss()` gives the loss of the next step, recording uses the population loss."""
    begin = time.perf_counter()
    times, steps, h = schedule(setting, lr)
    check_run(setting, len(state.W))
    loss, settle = _population(setting), _settling(setting)
    state = settle(state)
    rows = [_record(setting, loss, state)]
    for t in times[1:]:
        for _ in range(steps):
            v = _velocity(setting, batch_loss(), state)
            state = settle(State(*(torch.add(M, dM, alpha=h) for M, dM in zip(state, v, strict=True))))
        _check_bounded(state, t, h)
        rows.append(_record(setting, loss, state))
    obs = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    facts = {"lr": h, "steps": steps * (len(times) - 1), "seconds": time.perf_counter() - begin}
    return Run(setting, source, times, obs, facts)


def _record(setting: Setting, loss: Loss, state: State) -> dict[str, Array]:
    v = _velocity(setting, loss, state)
    row = {"W": state.W, "P": state.P, "V": state.V, "dW": v.W, "dP": v.P, "dV": v.V, "loss": loss(*state)}
    return {name: value.numpy() for name, value in row.items()}


def _check_bounded(state: State, t: float, h: float) -> None:
    norms = [torch.linalg.matrix_norm(M).max() for M in state]
    largest = torch.stack(norms).max().item()  # torch's: Python's max drops a NaN that is not first
    if not largest <= NORM_LIMIT:  # written so that NaN fails too
        raise SettingError(
            f"training diverged by t = {t:g} with steps of lr = {h:g} (norm {largest:.3g}): give a smaller training.lr"
        )
