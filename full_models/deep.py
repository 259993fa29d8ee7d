"""Real networks on real image views, trained by plain SGD on the Euclidean loss. Sampled: one path a replica.

    predictor   J = ½ E‖P f(x) - g(x⁺)‖²        invariance   J = ½ E‖f(x) - f(x⁺)‖²

f the online network, g the target: f itself, or its moving average; P (k, k) linear, no bias. SimSiam and BYOL are
meant with this Euclidean loss and no normalisation of embeddings, the loss of the linear theory, not with their cosine.

One step of size lr in flow time, eta coupled decay of every parameter of f (gains and biases as well):

    f ← f - lr (∂J/∂f + eta f)     P ← P - lr (alpha_p ∂J/∂P + eta_p P)     g ← g + lr beta (f_old - g)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynamics.images import Pool, image_pool
from dynamics.observe import effective_rank, mode_pairs, normalised_commutator, spectrum
from dynamics.run import Array, Run
from dynamics.setting import ImageViews, Setting, SettingError
from full_models.nets import embed, initial_parameters
from full_models.pairs import image_pairs, stream_numbers
from full_models.schedule import schedule

EVALUATED = 1024  # view pairs on which observables are measured
NEIGHBOURS = 5


@dataclass(frozen=True)
class Images:
    """x (n, m, D) centred views scaled to E‖x‖² = D, on the device; the pool; pairs (N, 2, D) to measure on."""

    x: Tensor
    pool: Pool
    pairs: Tensor
    labels: Array | None


@dataclass
class Networks:
    """R replicas in training: f and g name -> (R, …), P (R, k, k). g is f for an online target, else its own copy."""

    f: dict[str, Tensor]
    P: Tensor
    g: dict[str, Tensor]


def train_deep(
    setting: Setting,
    replicas: int = 5,
    on_step: Callable[[float], None] | None = None,
    device: str = "cpu",
) -> Run:
    """Train `replicas` networks, each with its own start and minibatches; source "deep". on_step(share done) each step.

    obs (R, T, …), measured on up to 1024 fixed view pairs of the pool: spectrum (k) of the centred covariance of f(x),
    falling; variance, its trace; erank, its effective rank; p, s, cosine (k) of P against F, the symmetrised uncentred
    E[f(x) f(x⁺)ᵀ]; alignment, their normalised commutator; mean, ‖E f(x)‖²; loss, J; P (k, k); knn, the share of
    held-out images whose label 5 neighbours among the other half vote for, where labels exist.
    cosine and alignment are nan only where P or F is exactly 0. facts: lr (the step taken), steps, seconds, device,
    parameters. Raises SettingError where a Setting makes no sense here, or training diverges.
    """
    begin = time.perf_counter()
    _check(setting, device)
    numbers = stream_numbers(replicas)
    times, steps, h = schedule(setting, None)
    images = _images(setting, device)
    rngs = [np.random.default_rng([setting.seed, 6, r]) for r in numbers]
    nets = _start(setting, images.pool.shape, rngs, device)
    batches = image_pairs(images.x, images.pool.paired, setting.training.batch, rngs)
    rows = [_record(setting, nets, images)]
    for i, t in enumerate(times[1:]):
        for j in range(steps):
            _step(setting, nets, *next(batches), images.pool.shape, h)
            if on_step:
                on_step((i * steps + j + 1) / (steps * (len(times) - 1)))
        if not all(torch.isfinite(M).all() for M in (*nets.f.values(), nets.P)):
            raise SettingError(f"training diverged by t = {t:g} with lr = {h:g}: give a smaller training.lr")
        rows.append(_record(setting, nets, images))
    obs = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    facts = {
        "lr": h,
        "steps": steps * (len(times) - 1),
        "seconds": time.perf_counter() - begin,
        "device": device,
        "parameters": sum(M[0].numel() for M in nets.f.values()),
    }
    return Run(setting, "deep", times, obs, facts)


def loss_of(setting: Setting, nets: Networks, x: Tensor, x_plus: Tensor, shape: tuple[int, ...]) -> Tensor:
    """J (R,) as an average over the pairs x, x_plus (R, B, D); both directions if the objective is symmetrised."""
    objective, kind = setting.objective, setting.network.kind
    through_target = objective.target == "online" and not objective.stop_gradient

    def direction(a: Tensor, b: Tensor) -> Tensor:
        z = embed(kind, nets.f, a, shape)
        if objective.loss == "invariance":
            return (z - embed(kind, nets.f, b, shape)).square().sum(-1).mean(-1) / 2
        with torch.set_grad_enabled(through_target and torch.is_grad_enabled()):
            target = embed(kind, nets.g, b, shape)
        return (z @ nets.P.mT - target).square().sum(-1).mean(-1) / 2

    if objective.symmetrised:
        return (direction(x, x_plus) + direction(x_plus, x)) / 2
    return direction(x, x_plus)


def _check(setting: Setting, device: str) -> None:
    views, objective = setting.views, setting.objective
    if not isinstance(views, ImageViews):
        raise SettingError(f"{type(views).__name__} are no images: the deep rung needs images views")
    if objective.loss not in ("invariance", "predictor"):
        raise SettingError(f"objective.loss {objective.loss!r} has no deep network: use invariance or predictor")
    if objective.predictor == "optimal":
        raise SettingError("a deep network has no exact optimal predictor: use linear with a large training.alpha_p")
    if setting.network.tau0 != 1:
        raise SettingError(f"network.tau0 is {setting.network.tau0}: a deep target starts as a copy, so give 1")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SettingError(f"device {device!r} is not there: torch sees no CUDA GPU, use device = 'cpu'")


def _images(setting: Setting, device: str) -> Images:
    assert isinstance(setting.views, ImageViews)
    pool = image_pool(setting.views, setting.seed)
    n, m, D = pool.x.shape
    centred = pool.x - pool.x.mean((0, 1))
    x = torch.from_numpy(centred * np.sqrt(D / np.square(centred).sum(-1).mean())).float().to(device)
    rng = np.random.default_rng([setting.seed, 5])
    order = rng.permutation(n)
    if pool.paired:
        image, first, second = order[:EVALUATED], 0, 1
    else:  # each image at least once before any twice: the first min(n, EVALUATED) pairs are of different images
        image = np.resize(order, EVALUATED)
        first, second = rng.integers(m, size=(2, EVALUATED))
    pairs = torch.stack([x[image, first], x[image, second]], dim=1)
    labels = None if pool.labels is None else pool.labels[image[: min(n, EVALUATED)]]
    return Images(x, pool, pairs, labels)


def _start(setting: Setting, shape: tuple[int, ...], rngs: list[np.random.Generator], device: str) -> Networks:
    net = setting.network
    f = {name: value.to(device) for name, value in initial_parameters(net.kind, shape, net.k, net.w0, rngs).items()}
    P = torch.from_numpy(np.stack([_predictor(setting, rng) for rng in rngs])).float().to(device)
    g = {name: value.clone() for name, value in f.items()} if setting.objective.target == "ema" else f
    return Networks(f, P, g)


def _predictor(setting: Setting, rng: np.random.Generator) -> Array:
    """p0 x: a Gaussian matrix / √k ("generic"), its symmetric part ("symmetric"), or the identity ("aligned")."""
    net = setting.network
    if setting.objective.predictor == "none":
        return np.eye(net.k)
    if net.start == "aligned":
        return net.p0 * np.eye(net.k)
    if net.start not in ("generic", "symmetric"):
        raise SettingError(f"network.start {net.start!r} has no deep meaning: use generic, symmetric or aligned")
    P = net.p0 * rng.standard_normal((net.k, net.k)) / np.sqrt(net.k)
    return (P + P.T) / 2 if net.start == "symmetric" else P


def _step(setting: Setting, nets: Networks, x: Tensor, x_plus: Tensor, shape: tuple[int, ...], h: float) -> None:
    objective, training = setting.objective, setting.training
    learned = objective.loss == "predictor" and objective.predictor != "none"
    weights = [*nets.f.values(), nets.P] if learned else list(nets.f.values())
    for M in weights:
        M.requires_grad_()
    total = loss_of(setting, nets, x, x_plus, shape).sum()  # the gradient of the sum is each replica's own
    gradients = torch.autograd.grad(total, weights)
    for M in weights:
        M.requires_grad_(False)
    if objective.target == "ema":  # explicit Euler: the target moves towards where the online network was
        for name, target in nets.g.items():
            target.lerp_(nets.f[name], h * training.beta)
    for M, gradient in zip(nets.f.values(), gradients, strict=False):
        M.sub_(gradient + training.eta * M, alpha=h)
    if learned:
        gP = gradients[-1]
        gP = (gP + gP.mT) / 2 if objective.predictor == "symmetric" else gP
        eta_p = training.eta if training.eta_p is None else training.eta_p
        nets.P.sub_(training.alpha_p * gP + eta_p * nets.P, alpha=h)


@torch.no_grad()
def _record(setting: Setting, nets: Networks, images: Images) -> dict[str, Array]:
    kind, shape = setting.network.kind, images.pool.shape
    replicas = len(nets.P)
    x, x_plus = (images.pairs[:, i].expand(replicas, -1, -1) for i in (0, 1))
    z, z_plus = (embed(kind, nets.f, view, shape).double().cpu().numpy() for view in (x, x_plus))
    P = nets.P.double().cpu().numpy()
    mean = z.mean(-2)
    centred = z - mean[..., None, :]
    lam = np.clip(spectrum(centred.mT @ centred / z.shape[-2]), 0.0, None)
    F = z.mT @ z_plus / z.shape[-2]
    F = (F + F.mT) / 2
    p, s, cosine = mode_pairs(P, F)
    row = {
        "spectrum": lam,
        "variance": lam.sum(-1),
        "erank": effective_rank(lam),
        "p": p,
        "s": s,
        "cosine": cosine,
        "alignment": normalised_commutator(P, F),
        "mean": np.square(mean).sum(-1),
        "loss": loss_of(setting, nets, x, x_plus, shape).double().cpu().numpy(),
        "P": P,
    }
    if images.labels is not None:
        row["knn"] = np.array([_knn(one[: len(images.labels)], images.labels) for one in z])
    return row


def _knn(z: Array, labels: Array) -> float:
    """Share of the first half's images that the vote of their nearest neighbours in the second half names right."""
    half = len(z) // 2
    distance = np.square(z[:half, None] - z[None, half:]).sum(-1)
    nearest = labels[half:][np.argsort(distance, axis=1)[:, :NEIGHBOURS]].astype(int)
    votes = np.apply_along_axis(np.bincount, 1, nearest, minlength=int(labels.max()) + 1)
    return float(np.mean(votes.argmax(1) == labels[:half]))
