"""A transformer over all patches of all frames of a clip, made of one for images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from full_models.methods.method import MethodError
from full_models.networks.vit import ViT, select, sincos


class ClipEncoder(nn.Module):
    """Clips (N, T, c, h, w) → tokens (N, T P, dim) and features (N, dim), their mean; patch p of frame t is token t P + p.

    Patch embedding and layers are the image transformer's; positions are those of `spacetime`. Every token attends to
    every other, in all frames. `frames` T is fixed. Features of images (N, c, h, w) are those of clips that stand still,
    each T copies of its image, as the paper evaluates on images.
    """

    position: Tensor

    def __init__(self, vit: ViT, frames: int) -> None:
        super().__init__()
        if frames < 1:
            raise MethodError(f"frames = {frames}: give a whole number >= 1")
        self.vit = vit
        self.frames = frames
        self.features = vit.features
        self.register_buffer("position", spacetime(frames, vit.grid, vit.features).to(vit.position), persistent=False)

    def tokens(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """(N, T P, dim), or (N, K, dim) of the patches keep (N, K) only, the others dropped before the first layer."""
        if x.ndim != 5 or x.shape[1] != self.frames:
            raise MethodError(f"clips have shape {tuple(x.shape)}: give (N, {self.frames}, c, h, w), or another frames")
        patches = self.vit.patches(x.flatten(0, 1)).unflatten(0, (-1, self.frames)).flatten(1, 2)
        position = self.position.expand(len(x), -1, -1)
        if keep is not None:
            patches, position = select(patches, keep), select(position, keep)
        return self.vit.transformer(self.vit.embedding(patches) + position)

    def forward(self, x: Tensor) -> Tensor:
        clips = x[:, None].expand(-1, self.frames, -1, -1, -1) if x.ndim == 4 else x
        return self.tokens(clips).mean(1)


def spacetime(frames: int, grid: tuple[int, int], dim: int) -> Tensor:
    """(T gh gw, dim): half the numbers sine-cosine of the frame, half of row and column. Exact; ValueError unless 8 | dim."""
    space = sincos(grid, dim // 2)
    time = sincos((frames, 1), dim)[:, : dim // 2]
    return torch.cat([time[:, None].expand(-1, len(space), -1), space.expand(frames, -1, -1)], -1).flatten(0, 1)
