"""Momentum contrast: queries against keys of a moving-average encoder and a queue of earlier keys (He et al. 2020)."""

from __future__ import annotations

from torch import Tensor, nn

from full_models.losses import queue_info_nce
from full_models.methods.joint import Projected
from full_models.methods.queue import KeyQueue
from full_models.methods.target import MovingAverage, stop_gradient
from full_models.parallel import gather, whole_batch


class MomentumContrast(Projected):
    """queue_info_nce(q, k, queue): q of view x by the online branch, k of view x⁺ by its moving average; one direction.

    In training mode the keys enter the queue after their logits are computed, so no key is its own negative.
    """

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, target: MovingAverage, queue: KeyQueue, tau: float
    ) -> None:
        super().__init__(encoder, projector)
        self.target = target
        self.queue = queue
        self.tau = tau

    def loss(self, x: Tensor, x_plus: Tensor) -> Tensor:
        q = self.branch(x)
        k = stop_gradient(self.target(x_plus))
        # The queue is copied: enqueueing below must not reach into what the backward pass has saved.
        loss = whole_batch(queue_info_nce, q, k, queue=self.queue.keys.clone(), tau=self.tau)
        if self.training:
            self.queue.enqueue(gather(k))
        return loss

    def after_step(self, step: int, steps: int) -> None:
        self.target.follow(self.branch, step, steps)
