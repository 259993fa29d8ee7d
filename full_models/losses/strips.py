"""The lengths of rows, and gradients through dividing by them, by torch on any device: `full_models.losses.lengths` in strips of rows,
so that what is made of them is no second z in memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

STRIP = 2**15  # numbers of z at a time


def inverse_lengths(z: Tensor, floor: float) -> Tensor:
    """1 / max(‖z_i‖, floor) (N,) of z (N, d). NaN where a row holds one, or where ‖z_i‖ itself overflows."""
    lengths = z.new_empty(len(z))
    for x, length in _strips(z, lengths):
        scaled = x.abs()
        scale = scaled.amax(-1).clamp_(min=floor)
        torch.linalg.vector_norm(scaled.div_(scale[:, None]), dim=-1, out=length).mul_(scale)
    lengths.masked_fill_(lengths.isinf(), torch.nan)  # 1 / inf would make a zero row of it
    return lengths.clamp_(min=floor).reciprocal_()


def through_the_norm(g: Tensor, z: Tensor, b: Tensor, floor: float) -> None:
    """g (N, d) <- g - u (u·g), u = b z, in place, but where b is 1 / floor."""
    for y, x, a in _strips(z, g, b):
        u = y * a[:, None]
        along = torch.where(a < 1 / floor, torch.linalg.vecdot(u, x), 0.0)
        x.addcmul_(u, along[:, None], value=-1)


def _strips(*vectors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """From the top, the same rows of each, at most STRIP numbers of the first."""
    rows = max(1, STRIP // vectors[0].shape[-1])
    return zip(*(z.split(rows) for z in vectors), strict=True)
