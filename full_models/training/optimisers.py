"""Optimisers and their rates. Formulas are stated because public implementations differ in where the rate enters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

Groups = Iterable[dict[str, Any]]
BETAS = (0.9, 0.95)  # AdamW as masked autoencoders and I-JEPA set it; torch's own second is 0.999, slower to forget
TRUST = 0.001  # LARS's eta: a step of lr = 1 turns a layer by about a thousandth of its norm


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates (You et al. 2017, arXiv:1708.03888), as the BYOL and Barlow Twins codes write them.

        u = g + wd w,   v ← momentum v + lambda u,   w ← w - lr v,   lambda = trust ‖w‖ / ‖u‖

    lambda = 1 where w or u is 0, for vectors (biases, gains: no decay either) and in groups with adapt = False. The
    paper divides by ‖g‖ + wd ‖w‖ and puts lr inside the momentum: equal at wd = 0 and constant lr.
    """

    def __init__(self, groups: Groups, lr: float, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "adapt": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if closure is not None:
            raise ValueError("LARS takes no closure: compute the gradients, then call step()")
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    self._move(w, w.grad, group)

    def _move(self, w: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        u = g
        if w.ndim > 1:
            u = g + group["weight_decay"] * w
            if group["adapt"]:
                norm, length = w.norm(), u.norm()
                usable = (norm > 0) & (length > 0)  # a tensor: no wait for the device
                u = u * torch.where(usable, TRUST * norm / length.where(usable, 1.0), 1.0)
        state = self.state[w]
        v = state["v"] = u if "v" not in state else group["momentum"] * state["v"] + u
        w.sub_(group["lr"] * v)


def _sgd(groups: Groups, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr, momentum=momentum, weight_decay=weight_decay)


def _adamw(groups: Groups, lr: float, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr, betas=BETAS, weight_decay=weight_decay)


OPTIMISERS: dict[str, Callable[[Groups, float, float, float], torch.optim.Optimizer]] = {
    "sgd": _sgd,  # v ← momentum v + g + wd w, w ← w - lr v: coupled decay
    "adamw": _adamw,  # decoupled decay; `momentum` is not used
    "lars": LARS,
}
# that an optimiser keeps of every parameter at least: sgd without momentum keeps none
MOMENTS = {"sgd": 0, "adamw": 2, "lars": 1}


def constant(share: float) -> float:
    """1."""
    return 1.0


def cosine(share: float) -> float:
    """½ (1 + cos π share): from 1 to 0 (Loshchilov & Hutter 2017, without restarts)."""
    return (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "cosine": cosine}


def rate(schedule: str, step: int, steps: int, warmup: int) -> float:
    """What multiplies lr at step 0 ≤ step < steps: (step + 1) / warmup over the warm-up, then the schedule from 1.

    The schedule's share runs over the steps after the warm-up, (step - warmup) / (steps - warmup), and never reaches 1.
    """
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[schedule]((step - warmup) / (steps - warmup))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Every group's lr = its own first lr times `factor`; groups with fixed_lr keep theirs (SimSiam's predictor)."""
    for group in optimiser.param_groups:
        first = group.setdefault("first_lr", group["lr"])
        group["lr"] = first if group.get("fixed_lr", False) else first * factor
