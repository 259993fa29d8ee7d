"""What is predicted: the one place where a gradient is stopped, and the moving average that may stand for the target."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from full_models.methods.method import MethodError

SCHEDULES: dict[str, Callable[[float], float]] = {  # progress in [0, 1] -> the part of 1 - m that is left
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,  # I-JEPA, V-JEPA
    "cosine": lambda progress: (1.0 + math.cos(math.pi * progress)) / 2,  # BYOL
}


def stop_gradient(target: Tensor, stop: bool = True) -> Tensor:
    """sg(target): equal in value, constant to autograd. stop=False is the ablation that lets the gradient through.

    Every method's target passes here and nowhere else is a gradient stopped; the losses never detach.
    """
    return target.detach() if stop else target


def momentum(m: float, schedule: str, step: int, steps: int) -> float:
    """m_k of step k = 0, …, steps - 1: m ("constant"), or rising to 1 as k → steps along a line or a half cosine.

    "cosine" is 1 - (1 - m)(1 + cos(π k/steps))/2, Grill et al. 2020 section 3.2. Raises MethodError.
    """
    if schedule not in SCHEDULES:
        raise MethodError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")
    if not 0 <= m <= 1:
        raise MethodError(f"ema, the average's momentum = {m}: give a number in [0, 1]")
    if not 0 <= step < steps:
        raise MethodError(f"step {step} of {steps}: give 0 <= step < steps")
    return 1 - (1 - m) * SCHEDULES[schedule](step / steps)


class MovingAverage(nn.Module):
    """The target network: a copy of the online module whose parameters follow it, g ← m_k g + (1 - m_k) f.

    `follow` is called after the optimiser's step k, when f is already updated (BYOL, I-JEPA). MoCo's order, average then
    compute keys, gives the same keys from the same start: its first average moves nothing, as both start equal, and
    later ones average the f that step k - 1 left. Averaging before the optimiser's step instead would lag by one step.

    Parameters take no gradient. Buffers are not averaged: in training mode the target's batch norms normalise by the
    target's own batch and keep running statistics of their own, as in the code of BYOL and MoCo.
    """

    def __init__(self, online: nn.Module, m: float, schedule: str = "constant") -> None:
        super().__init__()
        momentum(m, schedule, 0, 1)  # a wrong name or number is told here, not after the first step
        self.network = copy.deepcopy(online).requires_grad_(False)
        self.m = m
        self.schedule = schedule

    @torch.no_grad()
    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(*inputs)

    @torch.no_grad()
    def follow(self, online: nn.Module, step: int, steps: int) -> None:
        """g ← m_k g + (1 - m_k) f with k = step."""
        rest = 1 - momentum(self.m, self.schedule, step, steps)
        for g, f in zip(self.network.parameters(), online.parameters(), strict=True):
            g.lerp_(f, rest)


def average(encoder: nn.Module, projector: nn.Module, ema: float, schedule: str) -> MovingAverage:
    """The moving average of encoder and projector, starting as their copy."""
    return MovingAverage(nn.Sequential(encoder, projector), ema, schedule)
