"""Masks over the patches of a grid (gh, gw), P = gh·gw in raster order, as indices that `ViT.tokens` takes.

All int64, on the generator's device, every draw from the generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TRIES = 20


@dataclass(frozen=True)
class RandomMasks:
    """keep (N, K) and hidden (N, P - K): a partition of the patches for each image, both rising."""

    keep: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class BlockMasks:
    """context (N, K), rising, and targets (N, M, B), each a full rectangle; no target patch is in the context."""

    context: Tensor
    targets: Tensor

    def union(self, P: int, generator: torch.Generator) -> Tensor:
        """(N, Q), rising: the patches in any target of an image, Q the least number of the batch, further ones left out
        at random."""
        return _as_many(_cover(self.targets[:, None], P)[:, 0], generator)


def random_masks(n: int, grid: tuple[int, int], generator: torch.Generator, *, ratio: float = 0.75) -> RandomMasks:
    """K = ⌊P(1 - ratio)⌋ patches kept, uniform over all subsets of K, for each of n images. Source: He et al. 2022.

    Raises ValueError where a part would be empty.
    """
    P = math.prod(grid)
    K = int(P * (1 - ratio))
    if not 0 < K < P:
        raise ValueError(f"a ratio of {ratio} hides {P - K} of {P} patches: keep at least one and hide at least one")
    order = torch.rand(n, P, generator=generator, device=generator.device).argsort(1)
    return RandomMasks(order[:, :K].sort(1).values, order[:, K:].sort(1).values)


def block_masks(
    n: int,
    grid: tuple[int, int],
    generator: torch.Generator,
    *,
    M: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.2),
    target_aspect: tuple[float, float] = (0.75, 1.5),
    context_scale: tuple[float, float] = (0.85, 1.0),
    least: int | None = None,
) -> BlockMasks:
    """I-JEPA's multi-block masks for n images: M target blocks, which may overlap, and one context block less all targets.

    A block of scale s and aspect r has round(√(sP r)) rows and round(√(sP/r)) columns, at least 1 and at most the
    grid's, s and r uniform; its place is uniform. One size a batch for targets and one for contexts (aspect 1); places
    are each image's own. Contexts are cut to the smallest of the batch, K. All this as in the authors' code, except:

    - there a block never touches the last row or column;
    - an image is redrawn whole, up to TRIES times, until its context has `least` patches, else its largest is taken
      (None: P // 4, and 1 is enough). The authors' 10 of 196 hardly ever binds on their grid; on 4 x 4 patches the
      smallest of 128 contexts has 2, and every image would be cut to that;
    - the patches cut are drawn at random. The authors cut the last in raster order, which leaves small grids with their
      top rows.

    Source: Assran et al. 2023, appendix A. Raises ValueError where a context stays smaller than asked for.
    """
    P, (gh, gw) = math.prod(grid), grid
    enough = max(1, P // 4) if least is None else least
    least = 1 if least is None else least
    B = _size(grid, target_scale, target_aspect, generator)
    targets = _places(n, M, grid, B, generator)
    context = _places(n, 1, grid, _size(grid, context_scale, (1.0, 1.0), generator), generator)
    left = _cover(context, P) & ~_cover(targets, P)  # (n, TRIES, P)
    first = left.sum(-1).clamp_max(enough).argmax(1)  # the first try that leaves enough, else the one that leaves most
    image = torch.arange(n, device=first.device)
    left, targets = left[image, first], targets[image, first]
    if least > int(left.sum(-1).min()):
        raise ValueError(
            f"{M} targets of {B[0]}x{B[1]} patches leave fewer than {least} of {gh}x{gw} to a context: give fewer, "
            "smaller targets or smaller patches"
        )
    return BlockMasks(_as_many(left, generator), targets)


def _size(
    grid: tuple[int, int], scale: tuple[float, float], aspect: tuple[float, float], generator: torch.Generator
) -> tuple[int, int]:
    """Rows and columns of a batch's blocks."""
    u, v = torch.rand(2, generator=generator, device=generator.device).tolist()
    area = math.prod(grid) * (scale[0] + (scale[1] - scale[0]) * u)
    r = aspect[0] + (aspect[1] - aspect[0]) * v
    rows, columns = round(math.sqrt(area * r)), round(math.sqrt(area / r))
    return min(max(rows, 1), grid[0]), min(max(columns, 1), grid[1])


def _places(n: int, M: int, grid: tuple[int, int], B: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(n, TRIES, M, rows·columns) indices of the patches of blocks of size B at uniform places."""
    device = generator.device
    top, left = (
        torch.randint(side - block + 1, (n, TRIES, M, 1, 1), generator=generator, device=device)
        for side, block in zip(grid, B, strict=True)
    )
    rows = top + torch.arange(B[0], device=device)[:, None]
    columns = left + torch.arange(B[1], device=device)
    return (rows * grid[1] + columns).flatten(3)


def _as_many(present: Tensor, generator: torch.Generator) -> Tensor:
    """(n, K) indices, rising, of K true places of each row of present (n, P), K the fewest that a row has: all subsets
    of a row's K places are equally likely."""
    draws = torch.rand(present.shape, generator=generator, device=generator.device).masked_fill(~present, 2.0)
    return draws.argsort(1)[:, : int(present.sum(1).min())].sort(1).values


def _cover(blocks: Tensor, P: int) -> Tensor:
    """(n, TRIES, P) bool: the patches that any of the blocks (n, TRIES, M, B) holds."""
    covered = torch.zeros(*blocks.shape[:2], P, dtype=torch.bool, device=blocks.device)
    return covered.scatter_(-1, blocks.flatten(2), True)
