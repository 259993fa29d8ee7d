"""The joint Gaussian law of a pair of views, as streams of minibatches draw from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.views import Moments, moments

ROUNDING = 1e-14  # relative size under which an off-diagonal entry of L is the rounding of its factorisation


@dataclass(frozen=True)
class Law:
    """The joint Gaussian law of (x, x⁺): L (2d, 2d) lower triangular, and its three diagonals if its blocks are diagonal."""

    L: Any
    diagonals: tuple[Any, ...] | None

    @staticmethod
    @lru_cache(maxsize=16)  # a factorisation of 2d x 2d, the same for every replica
    def of(setting: Setting) -> Law:
        """Of the Setting's pairs in their own order; exact to rounding. Raises SettingError for views without moments."""
        L = _lower_factor(moments(setting.replace(objective__symmetrised=False)))
        L.flags.writeable = False  # all who ask for this law are given the same array
        d = len(L) // 2
        blocks = L[:d, :d], L[d:, :d], L[d:, d:]
        off = max(np.abs(b - np.diag(np.diag(b))).max() for b in blocks)
        diagonal = off <= ROUNDING * np.abs(L).max()
        return Law(L, tuple(np.diag(b)[:, None] for b in blocks) if diagonal else None)

    def map(self, convert: Callable[[Array], Any]) -> Law:
        """The same law in another type, or in tensors on a device."""
        return Law(convert(self.L), self.diagonals and tuple(convert(v) for v in self.diagonals))

    def columns(self, g: Any) -> tuple[Any, Any]:
        """(X, Y) = L g for columns g (…, 2d, m) of normals or of Rᵀ, which may be used up."""
        d = len(self.L) // 2
        if self.diagonals is None:
            return self.L[:d, :d] @ g[..., :d, :], self.L[d:] @ g
        a, b, c = self.diagonals
        x, y = g[..., :d, :], g[..., d:, :]
        X, Y = a * x, b * x
        y *= c  # in place: a temporary costs more in fresh pages than in arithmetic
        Y += y
        return X, Y


def _lower_factor(m: Moments) -> Array:
    """L (2d, 2d), lower triangular, L Lᵀ = [[A, C], [Cᵀ, B]]: by Cholesky, or by eigenvalues where that is singular."""
    joint: Array = np.block([[m.A, m.C], [m.C.T, m.B]])
    try:
        return np.asarray(np.linalg.cholesky(joint), np.float64)
    except np.linalg.LinAlgError:
        return np.linalg.qr(m.joint_factor().T).R.T
