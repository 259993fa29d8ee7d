"""Crops, shifts and flips: by hand, and the law of their draws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from view_cases import SE, images, seeded, share_strayed, strayed

from dynamics.images import augment
from full_models.views.colour import Blur, Grey, Jitter
from full_models.views.geometry import Crop, Flip, Shift, crop, shift

torch.set_num_threads(1)


def crop_by_hand(image: np.ndarray, box: tuple[float, ...]) -> np.ndarray:
    """(h, w): bilinear between pixel centres, indices held inside the image, output pixel (i, j) at its own centre."""
    h, w = image.shape
    top, left, height, width = box

    def at(position: float, side: int) -> tuple[int, int, float]:
        low = math.floor(position)
        return min(max(low, 0), side - 1), min(max(low + 1, 0), side - 1), position - low

    out = np.empty((h, w))
    for i in range(h):
        for j in range(w):
            a, b, s = at((top + height * (i + 0.5) / h) * h - 0.5, h)
            c, d, t = at((left + width * (j + 0.5) / w) * w - 0.5, w)
            upper = (1 - t) * image[a, c] + t * image[a, d]
            lower = (1 - t) * image[b, c] + t * image[b, d]
            out[i, j] = (1 - s) * upper + s * lower
    return out


def test_a_crop_is_bilinear_and_the_whole_box_gives_the_image() -> None:
    x = images(4, 1, 6, 9).double()
    boxes = torch.tensor([[0.1, 0.3, 0.5, 0.6], [0, 0, 1, 1], [0.5, 0, 0.5, 0.25], [0.2, -0.1, 1, 1]]).double()
    y = crop(x, boxes)
    for n in range(4):
        assert np.allclose(y[n, 0], crop_by_hand(x[n, 0].numpy(), tuple(boxes[n].tolist())), atol=1e-12)  # float64
    assert torch.allclose(y[1], x[1], rtol=0, atol=1e-12)  # float64
    assert not np.allclose(y[0, 0], crop_by_hand(x[0, 0].numpy(), (0.3, 0.1, 0.6, 0.5)), atol=1e-2)  # axes exchanged


def test_crop_areas_follow_the_law_of_boxes_that_fit() -> None:
    """On a square a box of area a fits if |u| <= log(1/a), hence the density ∝ min(1, log(1/a) / log aspect) of a."""
    n, least, aspect = 40_000, 0.2, 4 / 3
    top, left, height, width = Crop(least, aspect).boxes(torch.zeros(n, 1, 8, 8), seeded()).double().unbind(1)
    area = height * width
    a = (np.arange(200_000) + 0.5) / 200_000 * (1 - least) + least  # midpoints: error of order 1e-10
    density = np.minimum(1, np.log(1 / a) / math.log(aspect))
    density /= density.sum()
    assert strayed(area, float(density @ a)) < SE
    assert strayed(area.square(), float(density @ a**2)) < SE
    assert strayed(area, (1 + least) / 2) > SE  # the law without the condition is told apart
    assert share_strayed(area < 0.5, float(density[a < 0.5].sum())) < SE
    logs = (width / height).log()
    assert logs.abs().max() <= math.log(aspect) + 1e-6  # float32
    assert strayed(logs, 0.0) < SE
    for corner, side in ((top, height), (left, width)):
        assert corner.min() >= 0 and (corner + side).max() <= 1 + 1e-6  # float32
        assert strayed(corner / (1 - side).clamp_min(1e-9), 0.5) < SE  # uniform where it may lie
    wide = Crop(0.2).boxes(torch.zeros(n, 1, 10, 30), seeded()).double()
    pixels = (wide[:, 3] * 30 / (wide[:, 2] * 10)).log()
    assert pixels.abs().max() <= math.log(4 / 3) + 1e-5  # the shape is that of pixels, not of shares; float32


def test_shifts_are_those_enumerated_and_equally_likely() -> None:
    n, r = 25_000, 2
    image = images(1, 1, 5, 4)
    views = Shift(r)(image.expand(n, -1, -1, -1), seeded())[:, 0]
    known = torch.from_numpy(augment(image[0].numpy(), "shift", r, np.random.default_rng(0))[0])
    same = (views[:, None] == known).all((-1, -2))  # (n, 25)
    assert (same.sum(1) == 1).all()
    counts = same.sum(0).double()
    chi2 = ((counts - n / 25).square() / (n / 25)).sum().item()
    assert abs(chi2 - 24) < SE * math.sqrt(2 * 24)  # χ² of 24 degrees: mean 24, variance 48
    moved = shift(image, torch.tensor([[1, -2]]))[0, 0]
    assert moved[1:, :2].equal(image[0, 0, :-1, 2:]) and moved[0].eq(0).all() and moved[:, 2:].eq(0).all()


def test_flips_and_coins_fall_as_often_as_they_say() -> None:
    x = images(1, 3, 2, 3).expand(10_000, -1, -1, -1)
    flipped = Flip(0.3)(x, seeded())
    hit = (flipped == x.flip(-1)).flatten(1).all(1)
    assert ((flipped == x).flatten(1).all(1) ^ hit).all()
    assert share_strayed(hit, 0.3) < SE < share_strayed(hit, 0.5)
    for part, p in ((Jitter(p=0.8), 0.8), (Grey(p=0.2), 0.2), (Blur(1, p=0.5), 0.5)):
        changed, always = ((f(x, seeded(2)) != x).flatten(1).any(1) for f in (part, replace(part, p=1.0)))
        assert not (changed & ~always).any()  # a blur of 0.1 pixels changes nothing in float32
        assert share_strayed(changed[always], p) < SE, type(part).__name__
