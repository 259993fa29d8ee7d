"""What the pixels say: colour jitter, grey, blur, noise, lost pixels; kornia's operations under our own draws.

Batches (N, c, h, w) in [0, 1], one draw an image. Jitter, grey and blur stay in [0, 1]; noise does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from kornia.color import rgb_to_grayscale
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation_with_gray_subtraction,
)
from kornia.filters import filter2d_separable, get_gaussian_kernel1d
from torch import Tensor

from full_models.views.draw import coins, normal, uniform


@dataclass(frozen=True)
class Jitter:
    """With probability p, in this order, each result clipped to [0, 1], the factors f ~ U(1 - 0.8 s, 1 + 0.8 s), >= 0:

        brightness f x;   contrast f x + (1 - f) mean of grey(x);   saturation f x + (1 - f) grey(x);
        hue turned by U(-0.2 s, 0.2 s) of a full turn in HSV

    s = strength. Grey images have brightness and contrast alone. Source: Chen et al. 2020, appendix A, which draws the
    order too; one order for all images is one pass over the batch.
    """

    strength: float = 0.5
    p: float = 0.8

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        low, high = max(0.0, 1 - 0.8 * self.strength), 1 + 0.8 * self.strength
        factors = uniform((3, len(x)), low, high, generator, x)
        turns = uniform((len(x),), -0.2 * self.strength, 0.2 * self.strength, generator, x)
        return torch.where(coins(x, self.p, generator), jitter(x, factors, turns), x)


def jitter(x: Tensor, factors: Tensor, turns: Tensor) -> Tensor:
    """x with factors (3, N) of brightness, contrast, saturation and hue turned by turns (N); each image by itself."""
    y = adjust_brightness_accumulative(x, factors[0])
    y = adjust_contrast_with_mean_subtraction(y, factors[1])
    if x.shape[1] == 1:
        return y
    y = adjust_saturation_with_gray_subtraction(y, factors[2])
    return adjust_hue(y, 2 * math.pi * turns)


@dataclass(frozen=True)
class Grey:
    """With probability p all channels become 0.299 red + 0.587 green + 0.114 blue."""

    p: float = 0.2

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.where(coins(x, self.p, generator), rgb_to_grayscale(x).expand_as(x), x)


@dataclass(frozen=True)
class Blur:
    """With probability p a Gaussian blur of deviation U(0.1, 2) pixels, cut off at `reach` pixels, borders reflected.

    reach h // 20 is SimCLR's (a kernel of a tenth of the side: 23 at 224, 9 at 96, 3 at 32); 0 blurs nothing.
    """

    reach: int
    p: float = 0.5

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if not self.reach:
            return x
        deviation = uniform((len(x), 1), 0.1, 2.0, generator, x)
        kernel = get_gaussian_kernel1d(
            2 * self.reach + 1, deviation
        )  # gaussian_blur2d would wait for a GPU to check it
        return torch.where(coins(x, self.p, generator), filter2d_separable(x, kernel, kernel), x)


@dataclass(frozen=True)
class Noise:
    """x + sigma ε, ε ~ N(0, 1) for every pixel; not clipped, so that the views of an image are exactly Gaussian."""

    sigma: float

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x + self.sigma * normal(tuple(x.shape), generator, x)


@dataclass(frozen=True)
class Standardise:
    """(x - mean) / deviation of each channel, the last three axes being (c, h, w); mean, deviation (c,). Not a view, but
    what networks are fed of one. A channel whose deviation is 0 up to float32's rounding of its mean is only centred."""

    mean: Tensor
    deviation: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        varies = self.deviation > torch.finfo(torch.float32).eps * self.mean.abs()
        scale = torch.where(varies, self.deviation, torch.ones_like(self.deviation))
        return (x - self.mean[:, None, None]) / scale[:, None, None]


@dataclass(frozen=True)
class Lose:
    """Each pixel, all its channels, set to 0 with probability `share`, independently."""

    share: float

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        n, _, h, w = x.shape
        return x * (uniform((n, 1, h, w), 0.0, 1.0, generator, x) >= self.share)
