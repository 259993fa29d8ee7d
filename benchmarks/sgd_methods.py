"""One step and run of SGD as project and peers take it: the methods that `benchmarks.sgd` and `benchmarks.sgd_gpu` time.

The system: P W x against W x⁺ with stop-gradient, k = d, isotropic Gaussian views x = a + e, x⁺ = a + e⁺.

    autograd loop      one run after another in plain torch: 3 normals a coordinate, backward, torch.optim.SGD
    autograd, batched  the ladder's sgd rung: replicas in one tensor, 2 normals a coordinate
    vmap               torch.func.grad of one run's loss under vmap over all runs
    batched            the project's tensor engine, the one for a GPU
    noncollapse        the project's compiled engine

The project's two engines share each batch among RATES learning rates; "one rate" is what is left without that. A call of
theirs is a whole `sgd_ensemble`, start, population losses and Runs included: some hundredths of the calls here, at most at
d = 256, and next to nothing of a run of 10^4 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from dynamics.setting import GaussianViews, Network, Setting, Training
from full_models.ensemble import sgd_ensemble
from full_models.linear import sgd

SIGMA2 = 0.25  # variance of the noise on each view
RATES = 8
LOOP, OWN, ONE = "autograd loop", "noncollapse", "noncollapse, one rate"
Method = tuple[str, int, int, Callable[[], Any]]


def setting(d: int, batch: int, angle: float = 0.0) -> Setting:
    """Isotropic views, or with `angle` noise of two scales in rotated axes, so that A and C do not commute."""
    noise = (SIGMA2,) * d if angle == 0 else tuple(SIGMA2 * (1 + i % 2) for i in range(d))
    views = GaussianViews((1.0,) * d if angle == 0 else tuple(1 - i / (2 * d) for i in range(d)), noise, angle)
    return Setting(views=views, network=Network(k=d), training=Training(points=2, batch=batch))


def normals(dtype: str, device: str) -> Callable[..., torch.Tensor]:
    """torch.randn of its own generator."""
    rng = torch.Generator(device).manual_seed(0)
    return partial(torch.randn, generator=rng, dtype=getattr(torch, dtype), device=device)


def autograd_loop(d: int, batch: int, dtype: str, steps: int, device: str = "cpu") -> None:
    """What one writes first: one run in plain torch."""
    normal = normals(dtype, device)
    W, P = ((normal(d, d) / d**0.5).requires_grad_() for _ in range(2))
    optimiser = torch.optim.SGD([W, P], lr=0.01)
    for _ in range(steps):
        a = normal(batch, d)
        x, x_plus = (a + SIGMA2**0.5 * normal(batch, d) for _ in range(2))
        J = (x @ W.mT @ P.mT - (x_plus @ W.mT).detach()).square().sum(-1).mean() / 2
        optimiser.zero_grad()
        J.backward()
        optimiser.step()


def vmapped(d: int, batch: int, dtype: str, runs: int, steps: int, device: str = "cpu") -> None:
    """All runs under one vmap of torch.func.grad, each with its own batch."""
    normal = normals(dtype, device)
    W, P = (normal(runs, d, d) / d**0.5 for _ in range(2))

    def J(W: torch.Tensor, P: torch.Tensor, x: torch.Tensor, x_plus: torch.Tensor) -> torch.Tensor:
        return (x @ W.mT @ P.mT - (x_plus @ W.mT).detach()).square().sum(-1).mean() / 2

    gradient = torch.func.vmap(torch.func.grad(J, argnums=(0, 1)))
    for _ in range(steps):
        a = normal(runs, batch, d)
        x, x_plus = (a + SIGMA2**0.5 * normal(runs, batch, d) for _ in range(2))
        gW, gP = gradient(W, P, x, x_plus)
        W, P = W - 0.01 * gW, P - 0.01 * gP


def ensemble(s: Setting, dtype: str, engine: str, replicas: int, rates: int, steps: int) -> Callable[[], Any]:
    """A call of `sgd_ensemble` over so many rates, from 1e-3 to 1e-2, and steps."""
    lanes = [s.replace(training__lr=h, training__t_end=h * steps) for h in np.geomspace(1e-3, 1e-2, rates)]
    return partial(sgd_ensemble, lanes, replicas, dtype=dtype, engine=engine)


def methods(d: int, batch: int, dtype: str, seconds: float) -> list[Method]:
    """(name, runs x steps of a call, rates that share a batch, call); a call takes roughly `seconds`."""
    work = 12e-4 * d * d  # µs a pair in a batch, at 10 products of d x d a µs: sets lengths only
    loop = max(10, int(1e6 * seconds / (400 + work * batch)))
    steps = max(  # at four times that rate; one replica; long enough for the start to be little of it
        (600 if batch < d else 100) if d > 128 else 100,
        int(1e6 * seconds / (5 + work / 4 * min(batch, d)) / RATES),
    )
    s = setting(d, batch)
    plan: list[Method] = [
        (LOOP, loop, 1, partial(autograd_loop, d, batch, dtype, loop)),
        ("vmap", 16 * max(2, loop // 8), 1, partial(vmapped, d, batch, dtype, 16, max(2, loop // 8))),
        (OWN, RATES * steps, RATES, ensemble(s, dtype, "compiled", 1, RATES, steps)),
        (ONE, RATES * steps, 1, ensemble(s, dtype, "compiled", 1, 1, RATES * steps)),
    ]
    if d <= 64:  # beyond, the 64 replicas that share a generator are too much for a call on the CPU
        plan.insert(2, ("batched", 64 * RATES * 16, RATES, ensemble(s, dtype, "batched", 64, RATES, 16)))
    if dtype == "float64":
        few = max(2, loop // 8)
        ladder = s.replace(training__lr=0.01, training__t_end=0.01 * few)
        plan.insert(1, ("autograd, batched", 16 * few, 1, partial(sgd, ladder, 16)))
        call = ensemble(setting(d, batch, angle=0.3), dtype, "compiled", 1, RATES, steps)
        plan.append(("noncollapse, A and C not commuting", RATES * steps, RATES, call))
    return plan
