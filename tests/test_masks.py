"""Masks of patches: partitions and blocks, and the law of their draws."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from view_cases import SE, seeded

from full_models.views.masks import BlockMasks, block_masks, random_masks

torch.set_num_threads(1)


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
        assert P // 4 <= masks.context.shape[1] < P  # a context keeps a quarter where one of its tries does
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
    assert torch.equal(masks.context.sort(1).values, masks.context) and masks.context.shape == (n, 55)  # 64 less 9
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
