"""Where the pixels come from: crops, shifts, flips of a batch (N, c, h, w), one draw an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from full_models.views.draw import coins, uniform, whole

TRIES = 10


@dataclass(frozen=True)
class Crop:
    """Random resized crop: an upright box of area a·h·w, a ~ U(least, 1), and width : height e^u, u ~ U(±log aspect), at
    a uniform place inside the image, brought back to h x w.

    (a, u) is redrawn until the box fits, as in torchvision, here as the first of TRIES draws that does; if none does, the
    first one shrunk until it fits (for least = 0.2 on a square, probability 10⁻⁸). Corners are real numbers, torchvision's
    are whole. A box is never larger than the image, so bilinear interpolation enlarges and needs no antialiasing.
    """

    least: float = 0.2
    aspect: float = 4 / 3

    def boxes(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """(N, 4): top, left, height, width of each image's box, in shares of h and w."""
        n, _, h, w = x.shape
        area = uniform((n, TRIES), self.least, 1.0, generator, x)
        ratio = self.aspect ** uniform((n, TRIES), -1.0, 1.0, generator, x)
        height, width = (area * w / (h * ratio)).sqrt(), (area * ratio * h / w).sqrt()
        first = ((height <= 1) & (width <= 1)).int().argmax(1, keepdim=True)
        size = torch.cat([height.gather(1, first), width.gather(1, first)], 1)
        size = size / size.amax(1, keepdim=True).clamp_min(1)
        return torch.cat([uniform((n, 2), 0.0, 1.0, generator, x) * (1 - size), size], 1)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return crop(x, self.boxes(x, generator))


def crop(x: Tensor, boxes: Tensor) -> Tensor:
    """The part of each image in its box (N, 4), enlarged to h x w: bilinear between pixel centres, the border continued.

    Each image is treated by itself. The box (0, 0, 1, 1) gives the image back, up to rounding of the coordinates.
    """
    corner, size = boxes.to(x).split(2, dim=1)
    theta = x.new_zeros(len(x), 2, 3)  # of torch's affine_grid: x before y, the image is [-1, 1]²
    theta[:, [0, 1], [0, 1]] = size.flip(-1)
    theta[:, :, 2] = (2 * corner + size - 1).flip(-1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class Shift:
    """Translation by whole pixels, each coordinate uniform on -most … most; zeros move in. The law of
    `dynamics.images.augment`'s "shift", sampled."""

    most: int

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return shift(x, whole((len(x), 2), -self.most, self.most, generator, x))


def shift(x: Tensor, by: Tensor) -> Tensor:
    """y[n, c, i, j] = x[n, c, i - by[n, 0], j - by[n, 1]], 0 outside; by (N, 2) int64. Exact."""
    n, _, h, w = x.shape
    rows, columns = (
        torch.arange(side, device=x.device) - by[:, k, None] for k, side in ((0, h), (1, w))
    )  # (N, h), (N, w)
    inside = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None]
    index = rows.clamp(0, h - 1)[:, :, None] * w + columns.clamp(0, w - 1)[:, None]
    moved = x.flatten(2).gather(2, index.reshape(n, 1, -1).expand(-1, x.shape[1], -1)).unflatten(2, (h, w))
    return moved * inside[:, None]


@dataclass(frozen=True)
class Flip:
    """Left and right exchanged with probability p."""

    p: float = 0.5

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.where(coins(x, self.p, generator), x.flip(-1), x)
