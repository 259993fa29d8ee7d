"""Minibatches of many replicas drawn by a device at once, as tensors there: the law is that of `full_models.batches`.

Generators are shared by teams of 64 (replica r is member r mod 64 of team r // 64) and always draw for a whole team and for
DEVICE_STEPS steps, so that a replica's noise depends on its number, device kind and type, and on nothing else. Sampled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dynamics.images import image_pool
from dynamics.setting import ImageViews, Setting
from full_models.bartlett import degrees
from full_models.batches import Batch, Shape, batch_of
from full_models.law import Law

TEAM = 64  # replicas that share one generator on a device: a launch for 64 costs what one for 1 does
DEVICE_STEPS = 16  # steps drawn at a time on a device; part of the stream, so it does not follow the memory at hand
DRAWN = 2**28  # bytes of normals of whole teams in memory at a time: fewer, larger kernels; no part of the stream


class DeviceStream(Protocol):
    """Minibatches of replicas (R,) in order. generators: by team."""

    generators: dict[int, torch.Generator]

    def take(self) -> Iterator[Batch]:
        """The next DEVICE_STEPS minibatches (R, d, ·), to be used up before the next call."""
        ...


def device_stream(setting: Setting, replicas: range, dtype: torch.dtype, device: str) -> DeviceStream:
    """The Setting's own minibatches on a device. Raises SettingError where the views have no linear moments."""
    kind = DeviceImages if isinstance(setting.views, ImageViews) else DeviceGaussians
    return kind(setting, replicas, dtype, device)


class DeviceGaussians:
    """Gaussian pairs, or their moments by Bartlett's triangles, all of a block at once. A batch is overwritten by those of the
    next block: they lie in the same memory, as a CUDA graph asks for.
    """

    def __init__(self, setting: Setting, replicas: range, dtype: torch.dtype, device: str) -> None:
        shape = self.shape = Shape.of(setting)
        place = partial(torch.as_tensor, dtype=dtype, device=device)
        scale = np.sqrt(shape.n) if shape.by_moments else 1.0  # so that moments are products without a division
        self.law = Law.of(setting).map(lambda M: place(M / scale))
        self.half_degrees = place(degrees(shape.n, shape.rows) / 2) if shape.by_moments else None
        self.empty = partial(torch.empty, dtype=dtype, device=device)
        self.replicas, self.whole = replicas, None
        self.generators = _generators(setting.seed, replicas, device)
        self.of_team = (DEVICE_STEPS, TEAM, 2 * shape.d, min(shape.rows, shape.n))
        self.together = max(1, DRAWN // (math.prod(self.of_team) * dtype.itemsize))

    def take(self) -> Iterator[Batch]:
        """The next DEVICE_STEPS minibatches."""
        teams = list(self.generators)
        for i in range(0, len(teams), self.together):
            group = teams[i : i + self.together]
            drawn = self._drawn(group)
            if self.whole is None:
                size = (DEVICE_STEPS, len(self.replicas))
                self.whole = type(drawn)(*(None if M is None else self.empty(*size, *M.shape[3:]) for M in drawn))
            for whole, parts in zip(self.whole, drawn, strict=True):
                if whole is not None:
                    self._put(group, parts, whole)
        assert self.whole is not None
        for s in range(DEVICE_STEPS):
            yield type(self.whole)(*(None if M is None else M[s] for M in self.whole))

    def _put(self, teams: Sequence[int], parts: Tensor, whole: Tensor) -> None:
        """Of each team's part (steps, 64, …) the members that are among the replicas."""
        for t, part in zip(teams, parts, strict=True):
            place, members = _ours(t, self.replicas)
            whole[:, place] = part[:, members]

    def _drawn(self, teams: Sequence[int]) -> Batch:
        """(teams, steps, 64, …). A team's numbers are contiguous: a generator fills others in another order."""
        g = self.empty(len(teams), *self.of_team)
        for t, numbers in zip(teams, g, strict=True):
            numbers.normal_(generator=self.generators[t])
        if self.half_degrees is None:
            return batch_of(self.shape, *self.law.columns(g))
        half = self.half_degrees.expand(*self.of_team[:2], -1)
        gamma = torch.stack([torch._standard_gamma(half, self.generators[t]) for t in teams])  # pyright: ignore[reportPrivateImportUsage]
        g.tril_(-1).diagonal(dim1=-2, dim2=-1).copy_((2 * gamma).sqrt_())  # Rᵀ
        return batch_of(self.shape, *self.law.columns(g), n=1)


class DeviceImages:
    """Two views, with replacement, of images of the Setting's pool, which lies on the device. Which ones is drawn for a block
    at once; a step's pixels are read when it is taken, since those of 16 would be too many."""

    def __init__(self, setting: Setting, replicas: range, dtype: torch.dtype, device: str) -> None:
        assert isinstance(setting.views, ImageViews)
        pool, self.shape = image_pool(setting.views, setting.seed), Shape.of(setting)
        self.x, self.paired = torch.as_tensor(pool.x, dtype=dtype, device=device), pool.paired
        self.replicas, self.generators = replicas, _generators(setting.seed, replicas, device)

    def take(self) -> Iterator[Batch]:
        """The next DEVICE_STEPS minibatches."""
        count, views, _ = self.x.shape
        image, first, second = (self._drawn(below) for below in (count, views, views))
        if self.paired:
            first, second = torch.zeros_like(image), torch.ones_like(image)
        for i, v, v_plus in zip(image, first, second, strict=True):
            yield batch_of(self.shape, self.x[i, v].mT, self.x[i, v_plus].mT)

    def _drawn(self, below: int) -> Tensor:
        """Whole numbers from 0 to below - 1, (steps, R, n)."""
        size, device = (DEVICE_STEPS, TEAM, self.shape.n), self.x.device
        drawn = ((t, torch.randint(below, size, generator=g, device=device)) for t, g in self.generators.items())
        return torch.cat([team[:, _ours(t, self.replicas)[1]] for t, team in drawn], 1)


def _generators(seed: int, replicas: range, device: str) -> dict[int, torch.Generator]:
    """One for each team that has replicas here."""
    teams = range(replicas.start // TEAM, (replicas.stop - 1) // TEAM + 1)
    return {t: torch.Generator(device).manual_seed(_seed(seed, t)) for t in teams}


def _seed(seed: int, team: int) -> int:
    return int(np.random.SeedSequence([seed, 6, team]).generate_state(1, np.uint64)[0] >> 1)


def _ours(team: int, replicas: range) -> tuple[slice, slice]:
    """A team's replicas: their places among these, and among the team's members."""
    first = team * TEAM - replicas.start
    begin, end = max(first, 0), min(first + TEAM, len(replicas))
    return slice(begin, end), slice(begin - first, end - first)
