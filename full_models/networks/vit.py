"""Vision transformer on patches, that can encode a subset of an image's patches, as MAE and the JEPAs need.

P = gh·gw patches of p x p pixels, in raster order;  patch_dim = c·p²;  dim: width of a token
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from full_models.data.imageset import ImageShape

MOST_PATCHES = 8  # a side, for the default patch: 8x8 pixels -> patches of 2, 28 -> 4, 32 -> 4, 96 -> 12


class Attention(nn.Module):
    """Multi-head self-attention softmax(q kᵀ/√(dim/heads)) v over the tokens (N, P, dim) given, and over no others."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """x + Attention(LN x), then x + MLP(LN x) with 4·dim GELU units (pre-norm; Dosovitskiy et al. 2021, eqs. 2-3)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """`depth` Layers and a last LayerNorm: tokens (N, P, dim) → (N, P, dim). Equivariant to the order of the tokens.

    Start: linear weights U(±√(6/(fan_in + fan_out))) (Xavier, as MAE's code), biases 0.
    """

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"a width of {dim} does not divide among {heads} heads: give a multiple of {heads}")
        self.layers = nn.Sequential(*(Layer(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)

    def start(self, generator: torch.Generator) -> None:
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                xavier(module, generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layers(x))


class ViT(nn.Module):
    """Linear embedding of patches + fixed sine-cosine positions → Transformer → mean over tokens, (N, c, h, w) → (N, dim).

    No class token: features are the mean of the last tokens, as I-JEPA's probes read them. ViT-tiny is dim 192, depth
    12, heads 3 (Touvron et al. 2021). Attributes: features, patch (p), grid (gh, gw), position (P, dim).
    """

    position: Tensor

    def __init__(self, shape: ImageShape, dim: int, depth: int, heads: int, patch: int | None = None) -> None:
        super().__init__()
        c, h, w = shape
        self.patch = default_patch(h, w) if patch is None else patch
        if h % self.patch or w % self.patch:
            raise ValueError(f"patches of {self.patch} do not tile {h}x{w} pixels: give a divisor of both sides")
        self.grid = (h // self.patch, w // self.patch)
        self.features = dim
        self.embedding = nn.Linear(c * self.patch**2, dim)
        self.transformer = Transformer(dim, depth, heads)
        self.register_buffer("position", sincos(self.grid, dim), persistent=False)

    def start(self, generator: torch.Generator) -> None:
        xavier(self.embedding, generator)
        self.position.copy_(sincos(self.grid, self.features))

    def patches(self, x: Tensor) -> Tensor:
        """(N, c, h, w) → (N, P, c·p²), pixels of a patch in the order (c, row, column); exact, a rearrangement."""
        return F.pixel_unshuffle(x, self.patch).flatten(2).mT

    def tokens(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Last-layer tokens (N, P, dim), or (N, K, dim) of the K patches keep (N, K) of each image, in keep's order.

        keep: int64 indices into 0 … P-1. Patches not kept are dropped before the first layer: they neither attend nor
        are attended to, and cost nothing.
        """
        patches, position = self.patches(x), self.position.expand(len(x), -1, -1)
        if keep is not None:
            patches, position = select(patches, keep), select(position, keep)
        return self.transformer(self.embedding(patches) + position)

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x).mean(1)


def select(tokens: Tensor, keep: Tensor) -> Tensor:
    """tokens (N, P, …) at indices keep (N, K) → (N, K, …)."""
    return tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[-1]))


def sincos(grid: tuple[int, int], dim: int) -> Tensor:
    """(gh·gw, dim) float32: for row y and column x, [sin y·f, cos y·f, sin x·f, cos x·f], f_k = 10⁴^(-k/(dim/4)), k < dim/4.

    Exact. Source: Vaswani et al. 2017 section 3.5, in two dimensions as MAE's code. Raises ValueError unless 4 | dim.
    """
    if dim % 4:
        raise ValueError(f"a width of {dim} has no two-dimensional sine-cosine positions: give a multiple of 4")
    frequency = 10_000.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    y, x = (torch.arange(side, dtype=torch.float64)[:, None] * frequency for side in grid)
    rows = torch.cat([y.sin(), y.cos()], -1)[:, None].expand(*grid, -1)
    columns = torch.cat([x.sin(), x.cos()], -1)[None].expand(*grid, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1).float()


def xavier(layer: nn.Linear, generator: torch.Generator) -> None:
    """Weights U(±√(6/(fan_in + fan_out))), biases 0, in place."""
    bound = math.sqrt(6 / (layer.in_features + layer.out_features))
    layer.weight.uniform_(-bound, bound, generator=generator)
    layer.bias.zero_()


def default_patch(h: int, w: int) -> int:
    """The smallest side >= 2 that divides h and w with at most MOST_PATCHES patches a side. Raises ValueError."""
    for patch in range(2, min(h, w) + 1):
        if h % patch == 0 and w % patch == 0 and max(h, w) <= MOST_PATCHES * patch:
            return patch
    raise ValueError(f"no square patch tiles {h}x{w} pixels: resize the images to sides with a common divisor")
