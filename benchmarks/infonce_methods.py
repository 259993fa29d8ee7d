"""InfoNCE of two views, value and gradient, as project and peers compute it: the methods that `benchmarks.infonce` times.

naive numpy        the formula as one writes it in numpy: s, its softmax and the two gradients
autograd           the project's plain `info_nce` and torch's backward
blocked            the project's `blocked_info_nce`, by blocks of rows
NT-Xent: lightly   NTXentLoss of the lightly package, against `blocked_nt_xent` of the same 2N rows
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from full_models.losses import blocked, blocked_info_nce, blocked_nt_xent, info_nce, nt_xent

TAU = 0.1
Gradients = tuple[float, Any, Any]
NO_LIGHTLY = (
    "needs lightly, and the torchvision that it imports to match this torch, which an index of CPU builds may not have: "
    "pip install -c constraints.txt -e '.[peers]'"
)


@lru_cache(maxsize=2)
def views(N: int, d: int, dtype: str) -> list[Any]:
    """Two views (N, d) as numpy arrays."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((N, d))
    return [z.astype(dtype), (z + rng.standard_normal((N, d))).astype(dtype)]


def naive(z: Any, z_plus: Any) -> Gradients:
    """What one writes first, with the gradient with respect to z and z⁺."""
    N = len(z)
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (z, z_plus)]
    q, k = z / lengths[0], z_plus / lengths[1]
    s = q @ k.T / TAU
    top = s.max(1, keepdims=True)
    e = np.exp(s - top)
    total = e.sum(1, keepdims=True)
    loss = float((np.log(total[:, 0]) + top[:, 0] - np.diag(s)).mean())
    pi = e / total
    gradients = []
    for u, length, g in ((q, lengths[0], pi @ k - k), (k, lengths[1], pi.T @ q - q)):
        g = g / (TAU * N)
        gradients.append((g - u * (g * u).sum(1, keepdims=True)) / length)
    return loss, gradients[0], gradients[1]


def by_torch(loss: Callable[..., torch.Tensor], z: Any, z_plus: Any) -> Gradients:
    """A loss in torch, and the gradients that its backward gives."""
    leaves = [torch.from_numpy(x).requires_grad_() for x in (z, z_plus)]
    J = loss(*leaves, tau=TAU)
    gz, gz_plus = torch.autograd.grad(J, leaves)
    return J.item(), gz.numpy(), gz_plus.numpy()


def has_lightly() -> bool:
    """Whether lightly can be imported: torchvision, of its requirements, is missing where no build matches the torch."""
    return all(find_spec(name) for name in ("lightly", "torchvision"))


def lightly(z: torch.Tensor, z_plus: torch.Tensor, *, tau: float) -> torch.Tensor:
    """NTXentLoss of the package. Raises ImportError where it is not installed."""
    from lightly.loss import NTXentLoss  # pyright: ignore[reportMissingImports]

    return NTXentLoss(temperature=tau)(z, z_plus)


METHODS: dict[str, Callable[[Any, Any], Gradients]] = {
    "naive numpy": naive,
    "autograd": partial(by_torch, info_nce),
    "blocked": partial(by_torch, blocked_info_nce),
    "NT-Xent: autograd": partial(by_torch, nt_xent),
    "NT-Xent: lightly": partial(by_torch, lightly),
    "NT-Xent: blocked": partial(by_torch, blocked_nt_xent),
}


def call(name: str, N: int, d: int, dtype: str) -> Gradients:
    """Picklable, for the child process in which memory is measured."""
    torch.set_num_threads(1)
    return METHODS[name](*views(N, d, dtype))


def prepare(name: str, N: int, d: int, dtype: str) -> None:
    """The inputs, which are not counted, and a small call that loads the compiler where the large one needs it."""
    views(N, d, dtype)
    least, blocked.COMPILED_FROM = blocked.COMPILED_FROM, 0
    call(name, 256, d, dtype)
    blocked.COMPILED_FROM = least
