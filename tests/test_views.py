"""Views: what each operation does against a formula by hand, what law its draws have, and masks and latent processes.

A statistic is compared with its law's value in standard errors of that statistic, and must lie within 4: seeds are
fixed, so a test passes always or never, and a right law would fail at 1 seed in 16,000. `strayed` finds the distance.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dynamics.images import augment
from full_models.data import ImageSet
from full_models.views import AUGMENTATIONS, augmentation
from full_models.views.colour import Blur, Grey, Jitter, Lose, Noise, Standardise, jitter
from full_models.views.geometry import Crop, Flip, Shift, crop, shift
from full_models.views.masks import BlockMasks, block_masks, random_masks
from full_models.views.sequence import LatentVideo, latents, pan

torch.set_num_threads(1)
SE = 4  # standard errors, everywhere below


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.rand(n, *shape, generator=seeded(seed))


def strayed(sample: Tensor, expected: float) -> float:
    """|mean - expected| in standard errors of the mean of independent numbers."""
    return (abs(sample.double().mean() - expected) / (sample.double().std() / math.sqrt(sample.numel()))).item()


def share_strayed(hits: Tensor, p: float) -> float:
    """|share - p| in standard errors √(p(1 - p)/n)."""
    return abs(hits.double().mean().item() - p) / math.sqrt(p * (1 - p) / hits.numel())


# --- every augmentation


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)], ids=["grey", "colour"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_view_is_drawn_from_the_generator_alone(name: str, shape: tuple[int, int, int]) -> None:
    f, x = augmentation(name, shape), images(16, *shape)
    kept, before = x.clone(), torch.get_rng_state()
    y = f(x, seeded(3))
    assert y.shape == x.shape and y.dtype == x.dtype and torch.isfinite(y).all()
    assert torch.equal(y, f(x, seeded(3)))
    assert torch.equal(x, kept) and torch.equal(torch.get_rng_state(), before)
    assert torch.equal(y, f(x, seeded(4))) == (name == "none")
    if name != "noise":
        assert y.min() >= 0 and y.max() <= 1
    assert f(x.double(), seeded(3)).dtype == torch.float64


def test_two_views_from_one_generator_differ() -> None:
    f, x, generator = augmentation("simclr", (3, 32, 32)), images(8, 3, 32, 32), seeded()
    first, second = f(x, generator), f(x, generator)
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_images_of_a_batch_have_draws_of_their_own() -> None:
    x = images(1, 3, 32, 32).expand(64, -1, -1, -1)
    views = augmentation("simclr", (3, 32, 32))(x, seeded())
    assert len({view.numpy().tobytes() for view in views}) == 64


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        (crop, lambda n: (Crop(0.2).boxes(torch.zeros(n, 3, 12, 12), seeded()),)),
        (shift, lambda n: (torch.randint(-3, 4, (n, 2), generator=seeded()),)),
        (lambda x, f, t: jitter(x, f.mT, t), lambda n: (0.6 + 0.8 * torch.rand(n, 3, generator=seeded()), images(n))),
    ],
    ids=["crop", "shift", "jitter"],
)
def test_a_batch_is_its_images_one_by_one(operation: Callable[..., Tensor], parameters) -> None:
    x, drawn = images(9, 3, 12, 12).double(), parameters(9)
    alone = torch.cat([operation(x[i : i + 1], *(p[i : i + 1] for p in drawn)) for i in range(9)])
    together = operation(x, *drawn)
    assert torch.allclose(together, alone, rtol=0, atol=1e-6)  # parameters are float32
    assert not torch.allclose(together, operation(x, *(p.roll(1, 0) for p in drawn)), atol=1e-2)  # others' parameters


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: augmentation("rotate", (1, 8, 8)), "augmentation 'rotate' is not one of none, noise, mask"),
        (lambda: augmentation("crop", (1, 8, 8), 1.5), "strength 1.5 of crop: give a number between 0 and 1"),
        (lambda: augmentation("noise", (1, 8, 8), float("nan")), "strength nan of noise"),
        (lambda: augmentation("simclr", (4, 8, 8)), "images have 4 channels: use crop, noise or shift"),
        (lambda: random_masks(2, (2, 2), seeded(), ratio=0.9), "hides 4 of 4 patches: keep at least one"),
        (lambda: random_masks(2, (2, 2), seeded(), ratio=0.0), "hides 0 of 4 patches: keep at least one"),
        (
            lambda: block_masks(2, (4, 4), seeded(), target_scale=(1, 1), target_aspect=(1, 1)),
            "leave fewer than 1 of 4x4 to a context",
        ),
        (lambda: latents(2, 3, (1.2,), seeded()), "give n, T >= 1 and correlations between -1 and 1"),
        (lambda: LatentVideo((1, 2, 2), rho=(0.5,) * 4).patterns(), "4 latents for 2x2 pixels: give at most 3"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)


# --- crops, shifts, flips


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


# --- colours, blur, noise


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


# --- masks


def test_random_masks_are_uniform_partitions() -> None:
    n, grid = 20_000, (3, 4)
    masks = random_masks(n, grid, seeded(), ratio=0.7)
    assert masks.keep.shape == (n, 3) and masks.hidden.shape == (n, 9)  # ⌊12 · 0.3⌋ = 3
    both = torch.cat([masks.keep, masks.hidden], 1)
    assert torch.equal(both.sort(1).values, torch.arange(12).expand(n, -1))
    assert (masks.keep.diff(dim=1) > 0).all() and (masks.hidden.diff(dim=1) > 0).all()
    subsets = (masks.keep * torch.tensor([144, 12, 1])).sum(1).unique(return_counts=True)[1].double()
    cells = math.comb(12, 3)
    chi2 = (subsets - n / cells).square().sum().item() / (n / cells)
    assert len(subsets) == cells and abs(chi2 - (cells - 1)) < SE * math.sqrt(2 * (cells - 1))  # every subset alike
    again = random_masks(n, grid, seeded(), ratio=0.7)
    assert torch.equal(again.keep, masks.keep)
    assert not torch.equal(random_masks(n, grid, seeded(1), ratio=0.7).keep, masks.keep)


def lawful(masks: BlockMasks, grid: tuple[int, int]) -> bool:
    """Every target a full rectangle inside the grid, every context rising, in the grid, and without a target's patch."""
    rows, columns = masks.targets // grid[1], masks.targets % grid[1]
    sides = [part.amax(-1) - part.amin(-1) + 1 for part in (rows, columns)]
    B = masks.targets.shape[-1]
    distinct = (masks.targets.sort(-1).values.diff(dim=-1) > 0).all()
    inside = masks.targets.min() >= 0 and masks.targets.max() < math.prod(grid)
    rising = (
        (masks.context.diff(dim=-1) > 0).all() and masks.context.min() >= 0 and masks.context.max() < math.prod(grid)
    )
    apart = (masks.context[:, :, None, None] != masks.targets[:, None]).all()
    return bool((sides[0] * sides[1] == B).all() and distinct and inside and rising and apart)


@pytest.mark.parametrize("grid", [(4, 4), (7, 7), (8, 8), (14, 14), (4, 9)])
def test_block_masks_are_rectangles_and_a_context_without_them(grid: tuple[int, int]) -> None:
    n, P = 64, math.prod(grid)
    for seed in range(8):
        masks = block_masks(n, grid, seeded(seed))
        assert masks.context.shape[0] == n and masks.targets.shape[:2] == (n, 4)
        assert max(1, P // 16) <= masks.context.shape[1] < P
        assert lawful(masks, grid)
        assert torch.equal(masks.targets, block_masks(n, grid, seeded(seed)).targets)
    leak = replace(masks, context=masks.context.clone())
    leak.context[5, -1] = masks.targets[5].max()
    torn = replace(masks, targets=masks.targets.clone())
    torn.targets[3, 0, 0] = (torn.targets[3, 0, 0] + grid[1]) % P
    assert not lawful(leak, grid) and not lawful(torn, grid)  # the check can fail
    assert not torch.equal(masks.targets, block_masks(n, grid, seeded(8)).targets)


def test_target_blocks_have_the_stated_sizes() -> None:
    seen = set()
    for seed in range(200):
        targets = block_masks(1, (14, 14), seeded(seed)).targets[0]
        rows, columns = targets // 14, targets % 14
        h, w = (int(part[0].max() - part[0].min()) + 1 for part in (rows, columns))
        seen.add((h, w))
    # h/w in 0.75 … 1.5 and h·w in 0.15 … 0.2 of 196, before each side is rounded by at most 1/2
    low, high = math.sqrt(0.15 * 196 * 0.75), math.sqrt(0.2 * 196 * 1.5)
    assert min(h for h, _ in seen) == round(low) and max(h for h, _ in seen) == round(high)
    assert all((h - 0.5) * (w - 0.5) <= 0.2 * 196 and (h + 0.5) * (w + 0.5) >= 0.15 * 196 for h, w in seen)


def test_blocks_cover_each_patch_as_often_as_uniform_places_do() -> None:
    """A block of 3x3 at a uniform one of 6x6 places holds (y, x) with probability c(y) c(x), c counting places over 6."""
    n, side, b = 20_000, 8, 3
    nine = (9.01 / 64, 9.01 / 64)
    masks = block_masks(n, (side, side), seeded(), M=1, target_scale=nine, target_aspect=(1, 1), context_scale=(1, 1))
    places = side - b + 1
    c = torch.tensor([sum(t <= y < t + b for t in range(places)) / places for y in range(side)])
    held = torch.zeros(n, 64).scatter_(1, masks.targets[:, 0], 1.0)
    p = (c[:, None] * c).flatten()
    z = (held.mean(0) - p) / (p * (1 - p) / n).sqrt()
    assert z.abs().max() < SE + 1  # 64 patches: 5 standard errors keep all of them at 1 seed in 30,000
    assert torch.equal(masks.context.sort(1).values, masks.context) and masks.context.shape == (n, 55)
    q = p.reshape(side, side).roll(1, 0).flatten()
    assert ((held.mean(0) - q) / (q * (1 - q) / n).sqrt()).abs().max() > SE + 1  # places off by one are told apart


def first_kept(contexts: Tensor, targets: Tensor, P: int) -> float:
    """How often an image's first free patch is in its context (n, K), against K of the free ones, in standard errors."""
    K, deviation, variance = contexts.shape[1], 0.0, 0.0
    for context, blocks in zip(contexts.tolist(), targets.flatten(1).tolist(), strict=True):
        free = sorted(set(range(P)) - set(blocks))
        p = K / len(free)
        deviation, variance = deviation + (free[0] in context) - p, variance + p * (1 - p)
    return abs(deviation) / math.sqrt(variance)


def test_contexts_are_cut_to_the_smallest_at_random() -> None:
    masks = block_masks(400, (6, 6), seeded(), context_scale=(1, 1))
    frees = [sorted(set(range(36)) - set(blocks)) for blocks in masks.targets.flatten(1).tolist()]
    assert masks.context.shape[1] == min(map(len, frees)) < max(map(len, frees))
    assert first_kept(masks.context, masks.targets, 36) < SE
    raster = torch.tensor([free[: masks.context.shape[1]] for free in frees])
    assert first_kept(raster, masks.targets, 36) > SE  # the last left out, as the authors' code does, is told apart


def test_a_small_grid_keeps_a_quarter_of_its_patches_where_it_can() -> None:
    smallest = [block_masks(128, (4, 4), seeded(seed)).context.shape[1] for seed in range(50)]
    assert min(smallest) >= 4  # P // 4
    assert min(block_masks(128, (4, 4), seeded(seed), least=1).context.shape[1] for seed in range(50)) < 4
    crowded = block_masks(128, (4, 4), seeded(), M=30)  # leaves a quarter in no try: the largest contexts are taken
    assert 1 <= crowded.context.shape[1] < 4 and lawful(crowded, (4, 4))


def test_the_union_of_targets_is_what_they_hold() -> None:
    masks = block_masks(64, (4, 4), seeded())
    union = masks.union(16, seeded(1))
    held = [set(blocks) for blocks in masks.targets.flatten(1).tolist()]
    assert union.shape == (64, min(map(len, held)))
    assert all(set(mine) <= blocks for mine, blocks in zip(union.tolist(), held, strict=True))
    assert (union.diff(dim=1) > 0).all()
    assert not torch.equal(union, masks.union(16, seeded(2)))  # which are left out is drawn


# --- what networks are fed


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


# --- sequences


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
