"""Colours, blur, noise and standardised channels: by hand, and the law of their draws."""

from __future__ import annotations

import colorsys

import numpy as np
import torch
from view_cases import SE, images, seeded, share_strayed, strayed

from full_models.data import ImageSet
from full_models.views.colour import Blur, Grey, Jitter, Lose, Noise, Standardise, jitter

torch.set_num_threads(1)


def jitter_by_hand(image: np.ndarray, factors: np.ndarray, turn: float) -> np.ndarray:
    """One image (3, h, w)."""
    grey = np.array([0.299, 0.587, 0.114])
    y = np.clip(factors[0] * image, 0, 1)
    y = np.clip(factors[1] * y + (1 - factors[1]) * np.tensordot(grey, y, 1).mean(), 0, 1)
    y = np.clip(factors[2] * y + (1 - factors[2]) * np.tensordot(grey, y, 1), 0, 1)
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            h, s, v = colorsys.rgb_to_hsv(*y[:, i, j])
            y[:, i, j] = colorsys.hsv_to_rgb((h + turn) % 1, s, v)
    return y


def test_jitter_is_brightness_contrast_saturation_hue_in_this_order() -> None:
    x = images(6, 3, 4, 5).double()
    factors, turns = 0.6 + 0.8 * images(3, 6, seed=2).double(), images(6, seed=3).double() - 0.5
    y = jitter(x, factors, turns)
    for n in range(6):
        by_hand = jitter_by_hand(x[n].numpy(), factors[:, n].numpy(), turns[n].item())
        # kornia guards its divisions in HSV by 1e-8 or less, against saturations of 0.1 and more here
        assert np.allclose(y[n], by_hand, atol=1e-6)
        other = jitter_by_hand(x[n].numpy(), factors[[1, 0, 2], n].numpy(), turns[n].item())
        assert not np.allclose(y[n], other, atol=1e-3)  # brightness and contrast exchanged
    grey = images(2, 1, 4, 4).double()
    assert torch.equal(jitter(grey, factors[:, :2], turns[:2]), jitter(grey, factors[:, :2], 0 * turns[:2]))


def test_jitter_factors_are_uniform_about_1() -> None:
    n, s = 20_000, 0.5
    x = torch.full((n, 1, 1, 1), 0.5)  # constant: contrast leaves it alone, so that brightness f gives f/2
    f = 2 * Jitter(s, p=1.0)(x, seeded()).flatten()
    low, high = 1 - 0.8 * s, 1 + 0.8 * s
    assert f.min() >= low and f.max() <= high
    assert strayed(f, 1.0) < SE
    assert strayed((f - 1).square(), (high - low) ** 2 / 12) < SE


def test_grey_is_luma() -> None:
    x = images(3, 3, 2, 2).double()
    luma = torch.tensordot(x, torch.tensor([0.299, 0.587, 0.114]).double(), dims=([1], [0]))
    assert torch.allclose(Grey(p=1.0)(x, seeded()), luma[:, None].expand_as(x), atol=1e-6)  # weights in float32


def test_blur_spreads_a_point_as_a_cut_gaussian() -> None:
    n = 5_000
    x = torch.zeros(n, 1, 11, 11).double()
    x[:, :, 5, 5] = 1
    y = Blur(2, p=1.0)(x, seeded())[:, 0]
    assert torch.allclose(y.sum((-1, -2)), torch.ones(n).double(), atol=1e-6)  # a kernel in float32
    assert y[:, :3].abs().max() == 0  # nothing beyond the reach of 2
    fallen = (y[:, 5, 6] / y[:, 5, 5]).clamp_min(1e-300)  # exp(-1/2σ²)
    deviation = (-2 * fallen.log()).rsqrt()
    assert deviation.min() >= 0.1 - 1e-3 and deviation.max() <= 2 + 1e-3  # float32 kernel
    assert strayed(deviation, 1.05) < SE  # uniform on 0.1 … 2
    assert torch.allclose(y[:, 7, 5] / y[:, 5, 5], fallen**4, atol=1e-5)  # exp(-2²/2σ²)
    assert torch.equal(Blur(0)(x, seeded()), x)


def test_noise_is_gaussian_and_pixels_are_lost_together() -> None:
    x = images(1, 1, 20, 20).expand(200, -1, -1, -1)
    noise = (Noise(0.3)(x, seeded()) - x) / 0.3
    assert strayed(noise, 0.0) < SE
    assert strayed(noise.square(), 1.0) < SE
    assert strayed(noise.pow(4), 3.0) < SE
    assert strayed(noise[:100] * noise[100:], 0.0) < SE  # images are independent
    lost = Lose(0.25)(torch.ones(200, 3, 20, 20), seeded()) == 0
    assert torch.equal(lost[:, 0], lost[:, 1]) and share_strayed(lost[:, 0], 0.25) < SE


def test_standardised_channels_have_mean_0_and_deviation_1_of_the_images_they_are_made_from() -> None:
    x = 0.3 + torch.tensor([0.2, 0.01, 1e-4])[:, None, None] * torch.rand(500, 3, 6, 6, generator=seeded())
    made = Standardise(*ImageSet(x, None, "x").moments())(x)
    assert made.mean((0, 2, 3)).abs().max() < 1e-3  # float32 pixels of 0.3 know a deviation of 3e-5 to 1e-3 of it
    assert (made.std((0, 2, 3)) - 1).abs().max() < 1e-3  # the same
    clips = torch.stack([x, x.flip(-1)], 1)
    assert torch.equal(Standardise(*ImageSet(x, None, "x").moments())(clips)[:, 0], made)  # (N, T, c, h, w) alike


def test_a_constant_channel_is_centred_and_not_divided_by_nothing() -> None:
    x = torch.rand(40, 3, 4, 4, generator=seeded())
    x[:, 1], x[:, 2] = 0.1, 0.0
    made = Standardise(*ImageSet(x, None, "x").moments())(x)
    assert made[:, 1].abs().max() < 1e-6 and (made[:, 2] == 0).all()  # 0.1 less its mean, one float32 rounding
    assert torch.isfinite(Standardise(*ImageSet(x, None, "x").moments())(x + 1)).all()
