"""Latent processes, the videos made from them, and pans: their moments."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from view_cases import SE, seeded, strayed

from full_models.views.sequence import LatentVideo, latents, pan

torch.set_num_threads(1)


def correlation_strayed(h: Tensor, rho: float, lag: int) -> float:
    """E h_t h_{t+lag} of sequences h (n, T) against rho^lag, in standard errors over the n independent sequences."""
    products = (h[:, : h.shape[1] - lag] * h[:, lag:]).mean(1)
    return strayed(products, rho**lag)


def test_latents_are_stationary_with_their_correlations() -> None:
    rho = (0.9, 0.3, 0.0, -0.6)
    h = latents(20_000, 6, rho, seeded())
    for i, r in enumerate(rho):
        assert all(strayed(h[:, t, i].square(), 1.0) < SE for t in range(6))  # from the first frame on
        assert all(correlation_strayed(h[..., i], r, lag) < SE for lag in (1, 2, 4))
        assert correlation_strayed(h[..., i], r + 0.05, 1) > SE  # a correlation off by 0.05 is told apart
    assert strayed(h[:, 2, 0] * h[:, 2, 1], 0.0) < SE  # latents are independent
    still = latents(5, 4, (1.0,), seeded())
    assert torch.equal(still, still[:, :1].expand(-1, 4, -1))


def test_a_latent_video_has_the_covariance_of_its_formula() -> None:
    n, T = 20_000, 3
    video = LatentVideo((2, 3, 3), rho=(0.9, 0.5, -0.4), gain=0.2, noise=0.1)
    b = video.patterns().double().flatten(1)
    assert torch.allclose(b @ b.mT, 18 * torch.eye(3).double(), atol=1e-5)  # float32 patterns
    frames, h = video.sample(n, T, seeded())
    assert frames.shape == (n, T, 2, 3, 3) and h.shape == (n, T, 3)
    x = frames.double().flatten(2) - 0.5

    def worst(first: Tensor, second: Tensor, C: Tensor) -> float:
        products = first[:, :, None] * second[:, None]
        return ((products.mean(0) - C).abs() / (products.std(0) / math.sqrt(n))).max().item()

    for lag in (0, 1, 2):
        # 324 entries: 5 standard errors keep all of them at 1 seed in 5,000
        assert worst(x[:, 0], x[:, lag], video.covariance(lag)) < SE + 1
    assert worst(x[:, 0], x[:, 1], video.covariance(0)) > SE + 1  # the wrong lag is told apart
    residual = x - 0.2 * torch.tensordot(h.double(), b, 1)
    assert strayed(residual.square(), 0.01) < SE  # what the latents leave is the white noise
    again, _ = video.sample(n, T, seeded())
    assert torch.equal(again, frames) and not torch.equal(video.sample(n, T, seeded(1))[0], frames)


def test_a_pan_wanders_over_the_image_as_its_latents_do() -> None:
    n, T, side, rho, reach = 3_000, 4, 17, 0.8, 0.08
    ramp = torch.arange(side, dtype=torch.float64) / side
    x = torch.stack([ramp[:, None].expand(side, side), ramp.expand(side, side)]).expand(n, -1, -1, -1)
    frames = pan(x, T, seeded(), rho=rho, reach=reach)
    assert frames.shape == (n, T, 2, side, side)
    offset = (frames[..., side // 2, side // 2] - x[:, None, :, side // 2, side // 2]) / reach  # (n, T, 2): u, v
    for axis in (0, 1):
        assert all(strayed(offset[:, t, axis].square(), 1.0) < SE for t in range(T))
        assert correlation_strayed(offset[..., axis], rho, 1) < SE
        assert correlation_strayed(offset[..., axis], rho**2, 1) > SE
    assert strayed(offset[:, 0, 0] * offset[:, 0, 1], 0.0) < SE
    still = pan(x[:2], T, seeded(), reach=0.0)
    assert torch.allclose(still, x[:2, None].expand(-1, T, -1, -1, -1), rtol=0, atol=1e-12)  # float64
