"""Joint-embedding prediction of masked patches: I-JEPA on images, V-JEPA on sequences of frames.

    tokens f(x, patches seen) → predictor at the masked places → against g(x) there, g the moving average of f

Targets are encoded from the whole input and then cut out, so that a target token has seen its surroundings.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from full_models.methods.clip import ClipEncoder
from full_models.methods.method import Method
from full_models.methods.target import MovingAverage, stop_gradient
from full_models.methods.token_predictor import TokenPredictor
from full_models.networks.vit import ViT, select
from full_models.parallel import own_rows, whole_batch, world

Masks = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]  # (N, generator) -> seen (N, K), blocks (N, M, Q)


class AllTokens(nn.Module):
    """x → every token of the encoder, (N, P, dim)."""

    def __init__(self, encoder: ViT | ClipEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder.tokens(x)


class JEPA(Method):
    """distance(prediction, target) of masked tokens, each of an image's M blocks predicted by itself.

    `masks` draws the patches seen and the M blocks of Q patches of every input; `distance` takes (N, M Q, dim) of both.
    The probe reads the online encoder (I-JEPA's own probe reads the moving average).
    """

    encoder: ViT | ClipEncoder

    def __init__(
        self,
        encoder: ViT | ClipEncoder,
        predictor: TokenPredictor,
        target: MovingAverage,
        masks: Masks,
        distance: Callable[..., Tensor],
        predictor_rate: float = 1.0,
    ) -> None:
        super().__init__(encoder, predictor_rate)
        self.kind = "frames" if isinstance(encoder, ClipEncoder) else "image"
        self.predictor = predictor
        self.target = target
        self.masks = masks
        self.distance = distance

    def draw(self, *views: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        seen, blocks = self.masks(world().size * len(views[0]), generator)
        return {"seen": own_rows(seen), "blocks": own_rows(blocks)}

    def loss(self, x: Tensor, seen: Tensor, blocks: Tensor) -> Tensor:
        t = select(stop_gradient(self.target(x)), blocks.flatten(1))
        return whole_batch(self.distance, self.predict(x, seen, blocks), t)

    def predict(self, x: Tensor, seen: Tensor, blocks: Tensor) -> Tensor:
        """Predicted tokens (N, M Q, dim) of the blocks (N, M, Q), from the tokens at `seen` (N, K) alone."""
        N, M, Q = blocks.shape
        tokens = self.encoder.tokens(x, seen)
        known, places = (
            part.repeat_interleave(M, 0) for part in (tokens, seen)
        )  # an input's M blocks follow one another
        return self.predictor(known, places, blocks.flatten(0, 1)).reshape(N, M * Q, -1)

    def after_step(self, step: int, steps: int) -> None:
        self.target.follow(self.encoder, step, steps)


def tubes(blocks: Callable[[int, torch.Generator], tuple[Tensor, Tensor]], frames: int, patches: int) -> Masks:
    """Spatial masks repeated over all frames, so that a block cannot be copied from the frame before (V-JEPA)."""

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        seen, hidden = blocks(n, generator)
        return over_time(seen, frames, patches), over_time(hidden, frames, patches)

    return draw


def over_time(places: Tensor, frames: int, patches: int) -> Tensor:
    """Places (…, K) of a frame → (…, T K) of the clip, t P + p for every frame t."""
    start = patches * torch.arange(frames, device=places.device)
    return (start[:, None] + places[..., None, :]).flatten(-2)


def future(ahead: int, frames: int, patches: int) -> Masks:
    """The first T - ahead frames seen, the last `ahead` predicted as one block: prediction forward in time."""

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        every = torch.arange(frames * patches, device=generator.device).expand(n, -1)
        cut = (frames - ahead) * patches
        return every[:, :cut], every[:, None, cut:]

    return draw
