"""Small methods, what they are fed, and steps and gradients of their losses, for the tests of methods."""

from __future__ import annotations

import torch
from torch import Tensor

from full_models.methods import METHODS, Method, build

SHAPE = (1, 8, 8)
ROUNDING = 1e-12  # float64 results of some hundred operations on numbers of order 1, times a condition number of 100
FRAMES = 3
NAMES = list(METHODS)
TRAINED = [name for name in NAMES if name != "random"]
SMALL = {  # a method is asked questions at the smallest size that it has all its parts at
    "i-jepa": {"predictor_depth": 1},
    "v-jepa": {"predictor_depth": 1, "frames": FRAMES, "blocks": 1, "ahead": 1},
    "mae": {"decoder_depth": 1},
    "directclr": {"dim": 6},
    "moco": {"queue": 20, "dim": 6, "hidden": 12},
    "supervised": {"classes": 4},
    "random": {},
}


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


def small(name: str, seed: int = 0, **others: object) -> Method:
    encoder = "linear" if METHODS[name].encoder == "mlp" else METHODS[name].encoder
    options = {**SMALL.get(name, {"dim": 6, "hidden": 12}), **others}
    return build(name, SHAPE, encoder=encoder, width=16, generator=generator(seed), **options)


def views(method: Method, n: int = 12, seed: int = 1) -> tuple[Tensor, ...]:
    """What the method is fed: smooth random images, the second view with noise."""
    g = generator(seed)
    if method.kind == "frames":
        return (torch.rand(n, FRAMES, *SHAPE, generator=g),)
    x = torch.rand(n, *SHAPE, generator=g)
    return (x,) if method.kind == "image" else (x, x + 0.1 * torch.randn(x.shape, generator=g))


def loss_of(method: Method, x: tuple[Tensor, ...], seed: int = 2) -> Tensor:
    labels = {"labels": torch.arange(len(x[0])) % 4} if method.needs_labels else {}
    return method(*x, generator=generator(seed), **labels)


def step(method: Method, optimiser: torch.optim.Optimizer, x: tuple[Tensor, ...], k: int, steps: int) -> float:
    optimiser.zero_grad()
    loss = loss_of(method, x, seed=k)
    loss.backward()
    optimiser.step()
    method.after_step(k, steps)
    return loss.item()


def learnable(method: Method) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in method.named_parameters() if p.requires_grad}


def gradients(method: Method, x: Tensor, x_plus: Tensor) -> list[Tensor]:
    parameters = [p for p in method.parameters() if p.requires_grad]
    return list(torch.autograd.grad(method(x, x_plus, generator=generator()), parameters))
