"""What every method is: an encoder, the parts its loss needs, and the few calls a training loop makes.

    z = projector(encoder(x))  (N, d)     what the loss sees; `embed`
    h = encoder(x)             (N, D)     what a probe reads; `features`

All state (running moments, queue, moving averages) lives in parameters and buffers, so `state_dict` resumes exactly.
Calling the module is drawing what the loss needs (`draw`) and calling `loss` with it, as DistributedDataParallel and
`torch.compile` need it. `loss` itself draws nothing, so it also runs batched over networks, each with draws of its own. It
changes state (batch norm's statistics, the queue, running moments) in training mode only: in eval mode it can be called at
any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

Kind = Literal["pair", "image", "frames"]
FED: dict[Kind, tuple[int, int, str]] = {  # what the loss of a kind is fed: how many tensors of how many axes
    "pair": (2, 4, "two views of one shape (N, c, h, w)"),
    "image": (1, 4, "one batch of images (N, c, h, w)"),
    "frames": (1, 5, "one batch of clips (N, T, c, h, w)"),
}

DEEPEST = 1000  # layers of a part: the deepest networks in print have some 1,000, and building more never ends


class MethodError(ValueError):
    """A method, an option or a shape that makes no sense; the message ends with the remedy."""


def check_depth(name: str, layers: int) -> None:
    """Raises MethodError unless a part has 1 to DEEPEST layers."""
    if not 1 <= layers <= DEEPEST:
        raise MethodError(f"{name} = {layers}: give 1 to {DEEPEST} layers")


class Method(nn.Module):
    """Base of all methods.

    kind: what `loss` is fed: "pair", two views (N, c, h, w) of one batch of images; "image", one view; "frames", one
    batch of sequences (N, T, c, h, w). needs_labels: `loss` also takes labels=(N,). trains: False where nothing is
    learned. predictor_rate: learning rate of the predictor over that of the rest; predictor_fixed: whether it stays
    there while a schedule lowers the others.
    """

    kind: Kind = "pair"
    needs_labels: ClassVar[bool] = False
    trains: ClassVar[bool] = True

    def __init__(self, encoder: nn.Module, predictor_rate: float = 1.0, predictor_fixed: bool = False) -> None:
        super().__init__()
        if not 0 < predictor_rate < float("inf"):
            raise MethodError(f"predictor_rate = {predictor_rate}: give a finite number > 0")
        self.encoder = encoder
        self.predictor_rate = predictor_rate
        self.predictor_fixed = predictor_fixed

    def draw(self, *views: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """All that `loss` of these views needs at random (masks, directions), by its keywords; from their shapes alone."""
        return {}

    def loss(self, *views: Any, **drawn: Any) -> Tensor:
        """The loss (), differentiable, of views that passed `check`; exact once its draws are given."""
        raise NotImplementedError

    def check(self, views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The views; raises MethodError unless they are as many, and of the shape, as the kind says."""
        count, axes, wanted = FED[self.kind]
        if len(views) != count or any(x.ndim != axes or x.shape != views[0].shape for x in views):
            shapes = " and ".join(str(tuple(x.shape)) for x in views)
            raise MethodError(f"got views of shape {shapes or 'none'}: give {wanted}")
        return views

    def forward(self, *views: Tensor, generator: torch.Generator, **given: Tensor) -> Tensor:
        views = self.check(views)
        return self.loss(*views, **self.draw(*views, generator=generator), **given)

    def after_step(self, step: int, steps: int) -> None:
        """What follows the optimiser's step number step = 0, …, steps - 1: moving averages, predictors set by formula."""

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """h (N, D) in eval mode (batch norm by its running statistics), without gradient."""
        with evaluating(self):
            return self.encoder(x)

    @torch.no_grad()
    def embed(self, x: Tensor) -> Tensor:
        """z (N, d) in eval mode, without gradient; the features where the loss sees these themselves."""
        return self.features(x)

    def predictor_matrix(self) -> Tensor | None:
        """P (d, d) of the prediction P z, detached; None where the predictor is no matrix or there is none."""
        return None

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Groups for a torch optimiser: matrices and kernels decay, gains, biases and tokens do not.

        The predictor's groups take the rate predictor_rate lr, with fixed_lr = True where a schedule must leave it.
        Frozen parameters (a target's) are in no group.
        """
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                key = name.startswith("predictor."), parameter.ndim >= 2
                groups.setdefault(key, []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": lr * (self.predictor_rate if of_predictor else 1.0),
                "weight_decay": weight_decay if decays else 0.0,
                "fixed_lr": of_predictor and self.predictor_fixed,
            }
            for (of_predictor, decays), parameters in groups.items()
        ]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside the block, the earlier mode of every submodule after it."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
