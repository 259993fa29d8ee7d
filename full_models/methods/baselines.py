"""What methods are compared with: the same encoder trained on labels, and the same encoder not trained at all."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from full_models.losses import cross_entropy, invariance
from full_models.methods.method import Method, MethodError
from full_models.parallel import whole_batch


class Supervised(Method):
    """Mean over both views of the cross-entropy of a linear classifier on the features; needs labels (N,).

    `embed` is the features: logits would measure the number of classes.
    """

    needs_labels: ClassVar[bool] = True

    def __init__(self, encoder: nn.Module, head: nn.Linear) -> None:
        super().__init__(encoder)
        self.head = head

    def loss(self, x: Tensor, x_plus: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            raise MethodError("supervised needs labels: give labels=(N,) class numbers, or data that has them")
        both = self.head(torch.cat([self.encoder(x), self.encoder(x_plus)]))
        return whole_batch(cross_entropy, both, torch.cat([labels, labels]))


class Untrained(Method):
    """The encoder as it starts. `loss` is the invariance loss of its features, to be read, not descended."""

    trains: ClassVar[bool] = False

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder.requires_grad_(False))

    def loss(self, x: Tensor, x_plus: Tensor) -> Tensor:
        return whole_batch(invariance, self.encoder(x), self.encoder(x_plus))
