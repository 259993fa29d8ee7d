"""The blocked losses beside the plain ones, views to try them on, both ways through a block, and how far rounding may take them apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from full_models.losses import blocked, blocked_info_nce, blocked_nt_xent, chunk, info_nce, nt_xent

PATHS = {"compiled": 0, "torch": 10**9}  # the least number of rows that are compiled
HEIGHTS = {"compiled": chunk.BLOCK, "torch": blocked.BLOCK}  # bytes


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways through a block: small batches take torch's unless told."""
    monkeypatch.setattr(blocked, "COMPILED_FROM", PATHS[request.param])
    return request.param


Loss = Callable[..., Tensor]
PAIRS: dict[str, tuple[Loss, Loss]] = {"InfoNCE": (info_nce, blocked_info_nce), "NT-Xent": (nt_xent, blocked_nt_xent)}


def views(
    N: int, d: int, dtype: torch.dtype = torch.float64, lead: tuple[int, ...] = (), seed: int = 0
) -> list[Tensor]:
    """Two views (…, N, d) that agree loosely, so that softmaxes are neither flat nor saturated."""
    g = torch.Generator().manual_seed(seed)
    z, noise = (torch.randn(*lead, N, d, dtype=torch.float64, generator=g) for _ in range(2))
    return [z.to(dtype), (z + 2 * noise).to(dtype)]


def value_and_gradients(loss: Loss, inputs: list[Tensor], **options: Any) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    J = loss(*leaves, **options)
    return [J.detach(), *torch.autograd.grad(J.sum(), leaves)]


def excess(plain: Loss, other: Loss, inputs: list[Tensor], tau: float, **options: Any) -> float:
    """Largest difference of value and gradients over what rounding allows; <= 1 is agreement.

    A score is a sum of d terms and off by d u max|s| at most (u the unit roundoff, here 1 + d for the norms), a softmax
    twice that, a sum over N rows adds N u: 8 (N + d) u max(1, |s|) bounds the sum of both sides. Gradients in the unit of a
    largest one that is possible, max(‖q‖, ‖k‖) / (tau N) divided by the least norm.
    """
    N, d, u = *inputs[0].shape[-2:], torch.finfo(inputs[0].dtype).eps / 2
    norms = torch.cat([x.norm(dim=-1).flatten() for x in inputs])
    cosine = "critic" not in options or options["critic"] == "cosine"
    largest = 1.0 if cosine else float(norms.max()) ** 2 * float(options.get("M", torch.eye(d)).norm())
    law = 8 * (N + d) * u * max(1.0, largest / tau)
    unit = [1.0, *[largest / float(norms.min()) / (tau * N)] * 2]
    pairs = zip(*(value_and_gradients(f, inputs, tau=tau, **options) for f in (plain, other)), unit, strict=True)
    worst = [float((a - b).abs().max()) / (law * scale) for a, b, scale in pairs]
    return max(worst) if all(w == w for w in worst) else float("inf")  # a NaN is no agreement
