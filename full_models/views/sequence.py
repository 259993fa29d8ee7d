"""Video-like sequences whose latent process is known: frames (N, T, c, h, w).

h (N, T, m)  latents: independent stationary AR(1), h_t = rho h_{t-1} + √(1 - rho²) ε_t,  h_0 ~ N(0, 1), so that
             E[h_t] = 0 and E[h_t h_{t+k}] = rho^|k|; rho (m,), each in [-1, 1]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from full_models.data.imageset import ImageShape
from full_models.views.draw import normal
from full_models.views.geometry import crop


def latents(n: int, T: int, rho: Sequence[float], generator: torch.Generator) -> Tensor:
    """h (n, T, m) float32 on the generator's device. Sampled, exactly stationary. Raises ValueError unless |rho| <= 1."""
    if n < 1 or T < 1 or not rho or max(abs(r) for r in rho) > 1:
        raise ValueError(f"n = {n}, T = {T}, rho = {tuple(rho)}: give n, T >= 1 and correlations between -1 and 1")
    r = torch.tensor(rho, device=generator.device)
    noise = torch.randn(n, T, len(rho), generator=generator, device=generator.device)
    steps = [noise[:, 0]]
    for t in range(1, T):
        steps.append(r * steps[-1] + (1 - r.square()).sqrt() * noise[:, t])
    return torch.stack(steps, 1)


@dataclass(frozen=True)
class LatentVideo:
    """Linear-Gaussian video: x_t = 1/2 + gain Σ_i h_ti b_i + noise ε_t, all Gaussian, hence not confined to [0, 1].

    shape: (c, h, w); rho: one correlation time a latent, frame to frame; b_i: orthogonal cosine patterns of mean square
    1, the m smoothest, alike in all channels; gain, noise: deviations of a pixel, from one latent and from white noise.
    """

    shape: ImageShape
    rho: tuple[float, ...] = (0.95, 0.9, 0.8, 0.5, 0.2, 0.0)
    gain: float = 0.1
    noise: float = 0.05

    def patterns(self) -> Tensor:
        """b (m, c, h, w) float32; (1/chw) Σ b_i b_j = δ_ij. Exact: the discrete cosine basis in the order of the sum of
        its two frequencies, the constant left out. Raises ValueError for more latents than patterns."""
        c, h, w = self.shape
        order = sorted(((i, j) for i in range(h) for j in range(w)), key=lambda f: (sum(f), f))[1:]
        if len(self.rho) > len(order):
            raise ValueError(f"{len(self.rho)} latents for {h}x{w} pixels: give at most {len(order)}")
        waves = torch.stack([_cosines(h)[i][:, None] * _cosines(w)[j] for i, j in order[: len(self.rho)]])
        return waves[:, None].expand(-1, c, -1, -1).float()

    def sample(self, n: int, T: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Frames (n, T, c, h, w) and latents (n, T, m), float32 on the generator's device."""
        h = latents(n, T, self.rho, generator)
        signal = torch.tensordot(h, self.patterns().to(h), 1)
        return 0.5 + self.gain * signal + self.noise * normal(tuple(signal.shape), generator, signal), h

    def covariance(self, lag: int) -> Tensor:
        """E[(x_t - 1/2)(x_{t+lag} - 1/2)ᵀ] = gain² Σ_i rho_i^|lag| b_i b_iᵀ + noise² δ_{lag,0} I, (chw, chw) float64. Exact."""
        b = self.patterns().double().flatten(1)
        decay = torch.tensor(self.rho, dtype=torch.float64) ** abs(lag)
        white = self.noise**2 if lag == 0 else 0.0
        return self.gain**2 * (b.mT * decay) @ b + white * torch.eye(b.shape[1], dtype=torch.float64)


def pan(x: Tensor, T: int, generator: torch.Generator, *, rho: float = 0.9, reach: float = 0.1) -> Tensor:
    """Frames (N, T, c, h, w) of a camera wandering over each still image of x (N, c, h, w).

    Frame t is the image seen from an offset of reach·(u_t h, v_t w) pixels, u and v AR(1) latents of correlation rho;
    bilinear, the border continued. What persists is the image, what is predictable is the drift.
    """
    offset = reach * latents(len(x), T, (rho, rho), generator).to(x)
    boxes = torch.cat([offset, torch.ones_like(offset)], -1).flatten(0, 1)
    return crop(x.repeat_interleave(T, 0), boxes).unflatten(0, (len(x), T))


def _cosines(side: int) -> Tensor:
    """Row k: the cosine of k half waves over the side, mean square 1, (side, side) float64."""
    k, i = torch.arange(side, dtype=torch.float64)[:, None], torch.arange(side, dtype=torch.float64)
    waves = torch.cos(math.pi * k * (i + 0.5) / side)
    return waves / waves.square().mean(1, keepdim=True).sqrt()
