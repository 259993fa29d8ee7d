"""Minibatches of many replicas drawn by a device at once, as tensors there: the law is that of `full_models.batches`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dynamics.setting import Setting
from full_models.bartlett import degrees
from full_models.batches import Batch, Shape, batch_of
from full_models.law import Law

TEAM = 64  # replicas that share one generator on a device: a launch for 64 costs what one for 1 does
DEVICE_STEPS = 16  # steps drawn at a time on a device; part of the stream, so it does not follow the memory at hand
DRAWN = 2**28  # bytes of normals of whole teams in memory at a time: fewer, larger kernels; no part of the stream


class DeviceStream:
    """Gaussian pairs or moments of replicas r (R,) at once as tensors on a device: (steps, R, …). Sampled.

    Generators are shared by teams of 64 (replica r is member r mod 64 of team r // 64) and always draw for a whole team
    and for DEVICE_STEPS steps, so that a replica's noise depends on its number, device kind and type, and on nothing else.
    A batch is overwritten by the next one: it lies in the same memory, as a CUDA graph asks for.
    """

    def __init__(self, setting: Setting, replicas: range, dtype: torch.dtype, device: str) -> None:
        shape = self.shape = Shape.of(setting)
        place = partial(torch.as_tensor, dtype=dtype, device=device)
        scale = np.sqrt(shape.n) if shape.by_moments else 1.0  # so that moments are products without a division
        self.law = Law.of(setting).map(lambda M: place(M / scale))
        self.half_degrees = place(degrees(shape.n, shape.rows) / 2) if shape.by_moments else None
        self.empty = partial(torch.empty, dtype=dtype, device=device)
        self.replicas, self.whole = replicas, None
        teams = range(replicas.start // TEAM, (replicas.stop - 1) // TEAM + 1)
        self.generators = {t: torch.Generator(device).manual_seed(_seed(setting.seed, t)) for t in teams}
        self.of_team = (DEVICE_STEPS, TEAM, 2 * shape.d, min(shape.rows, shape.n))
        self.together = max(1, DRAWN // (math.prod(self.of_team) * dtype.itemsize))

    def take(self) -> Batch:
        """The next DEVICE_STEPS minibatches, stacked on a leading axis."""
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
        return self.whole

    def _put(self, teams: Sequence[int], parts: Tensor, whole: Tensor) -> None:
        """Of each team's part (steps, 64, …) the members that are among the replicas."""
        for t, part in zip(teams, parts, strict=True):
            first = t * TEAM - self.replicas.start
            ours = slice(max(first, 0), min(first + TEAM, len(self.replicas)))
            whole[:, ours] = part[:, ours.start - first : ours.stop - first]

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


def _seed(seed: int, team: int) -> int:
    return int(np.random.SeedSequence([seed, 6, team]).generate_state(1, np.uint64)[0] >> 1)
