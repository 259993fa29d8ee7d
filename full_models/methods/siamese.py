"""Latent prediction: the online branch predicts the target branch's embedding of the other view (BYOL, SimSiam).

loss = w Σ_{both directions} D(P f(x), sg g(x⁺))     f online, g = f or its moving average, P the predictor
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from full_models.methods.analytic import AnalyticPredictor
from full_models.methods.joint import Projected
from full_models.methods.method import MethodError
from full_models.methods.predictor import LinearPredictor
from full_models.methods.target import MovingAverage, stop_gradient
from full_models.parallel import whole_batch


class LatentPrediction(Projected):
    """Both directions of D(prediction, target), each times weight w.

    target: None where the target is the online branch itself. stop=False lets the gradient into that target; a moving
    average takes none. w: 1/2 is SimSiam's mean of the directions, 1 BYOL's sum, so that rates are those of the papers.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        predictor: nn.Module,
        distance: Callable[..., Tensor],
        *,
        target: MovingAverage | None = None,
        stop: bool = True,
        weight: float = 0.5,
        **keywords: Any,
    ) -> None:
        super().__init__(encoder, projector, **keywords)
        if not stop and target is not None:
            raise MethodError("a moving-average target takes no gradient: give stop=True, or no target")
        self.predictor = predictor
        self.target = target
        self.distance = distance
        self.stop = stop
        self.weight = weight

    def loss(self, *views: Tensor) -> Tensor:
        z, z_plus = (self.branch(x) for x in views)
        targets = (z, z_plus) if self.target is None else tuple(self.target(x) for x in views)
        t, t_plus = (stop_gradient(target, self.stop) for target in targets)
        if self.training and isinstance(self.predictor, AnalyticPredictor):
            whole_batch(self.predictor.observe, torch.cat([z, z_plus]).detach(), torch.cat([t_plus, t]).detach())
        forth = whole_batch(self.distance, self.predictor(z), t_plus)
        back = whole_batch(self.distance, self.predictor(z_plus), t)
        return self.weight * (forth + back)

    def after_step(self, step: int, steps: int) -> None:
        if isinstance(self.predictor, AnalyticPredictor):
            self.predictor.settle(step)
        if self.target is not None:
            self.target.follow(self.branch, step, steps)

    def predictor_matrix(self) -> Tensor | None:
        if isinstance(self.predictor, LinearPredictor | AnalyticPredictor):
            return self.predictor.matrix().detach()
        return None
