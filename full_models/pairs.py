"""Endless minibatches of pairs (x, x⁺) for many replicas, each from a stream of its own: Gaussian, or views of images. Sampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from dynamics.images import image_pool
from dynamics.run import Array
from dynamics.setting import ImageViews, Setting, SettingError
from dynamics.views import moments

BLOCK = 2**18  # random numbers drawn at a time (2 MB, stays in cache): blocks amortise the call, and change no stream


def stream_numbers(replicas: int, seed0: int = 0) -> range:
    """The streams seed0, seed0 + 1, … of so many replicas. Raises SettingError unless both are whole, replicas >= 1, seed0 >= 0."""
    for name, value, least in (("replicas", replicas, 1), ("seed0", seed0, 0)):
        if not isinstance(value, Integral) or value < least:
            raise SettingError(f"{name} is {value!r}: give a whole number >= {least}")
    return range(seed0, seed0 + replicas)


def sample_pairs(setting: Setting, streams: Sequence[int]) -> Iterator[Tensor]:
    """Endless minibatches [x, x⁺] (R, batch, 2 d), replica r from the stream SeedSequence([seed, 4, streams[r]])."""
    views, batch = setting.views, setting.training.batch
    rngs = [np.random.default_rng([setting.seed, 4, s]) for s in streams]
    if isinstance(views, ImageViews):
        pool = image_pool(views, setting.seed)
        yield from (torch.cat(pair, -1) for pair in image_pairs(torch.from_numpy(pool.x), pool.paired, batch, rngs))
    m = moments(setting.replace(objective__symmetrised=False))
    L = torch.from_numpy(m.joint_factor())
    for block in _blocks([rng.standard_normal for rng in rngs], (batch, 2 * m.d)):
        yield from (block @ L.T).unbind(1)


def image_pairs(
    x: Tensor, paired: bool, batch: int, rngs: list[np.random.Generator]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless minibatches (R, batch, D) from views x (n, m, D): two independent views of an image, or views 0 and 1."""
    n, m, _ = x.shape
    # Uniforms, not integers: their stream is the same however it is cut into blocks.
    for block in _blocks([rng.random for rng in rngs], (batch, 3)):
        for u in block.unbind(1):
            i, first, second = (u.to(x.device) * torch.tensor([n, m, m], device=x.device)).long().unbind(-1)
            yield (x[i, 0], x[i, 1]) if paired else (x[i, first], x[i, second])


def _blocks(draws: list[Callable[..., Array]], shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Endless (R, steps, *shape), row r from draws[r]; the next overwrites it, so a caller computes from it at once."""
    steps = max(1, BLOCK // (len(draws) * math.prod(shape)))
    block = np.empty((len(draws), steps, *shape))
    while True:
        for draw, rows in zip(draws, block, strict=True):
            draw(out=rows)
        yield torch.from_numpy(block)
