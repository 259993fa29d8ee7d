"""The second moments of a pair of views, and the law the pair is drawn from.

    A = E[x xᵀ]   B = E[x⁺ x⁺ᵀ]   C = E[x x⁺ᵀ]   S = E[(x-x⁺)(x-x⁺)ᵀ] = A + B - C - Cᵀ      all (d, d), uncentred

Exact: Gaussian views by formula, image views as sums over the finite pool the networks are trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dynamics.images import Pool, image_pool
from dynamics.machine import check_memory
from dynamics.observe import commutator, of_order_one
from dynamics.run import Array
from dynamics.setting import GaussianViews, ImageViews, Setting, SettingError, Views

# Of their norms: what products of (d, d), d ≤ 100, leave of a commutator or an antisymmetric part that is 0.
ROUNDING = 1e-13


@dataclass(frozen=True)
class Moments:
    """A, B, C as above; each (d, d)."""

    A: Array
    B: Array
    C: Array

    @property
    def S(self) -> Array:
        return self.A + self.B - self.C - self.C.T

    @property
    def d(self) -> int:
        return self.A.shape[0]

    @property
    def symmetric(self) -> bool:
        """Whether C = Cᵀ, up to ROUNDING."""
        C = of_order_one(self.C)
        return bool(np.linalg.norm(C - C.T) <= ROUNDING * np.linalg.norm(C))

    @property
    def commute(self) -> bool:
        """Whether A and C share orthonormal eigenvectors, up to ROUNDING."""
        A, C = of_order_one(self.A), of_order_one(self.C)
        return self.symmetric and bool(commutator(A, C) <= ROUNDING * np.linalg.norm(A) * np.linalg.norm(C))

    def symmetrised(self) -> Moments:
        """The moments of a pair whose order is a coin toss: A = B, C = Cᵀ. They drive the symmetrised loss."""
        half = (self.A + self.B) / 2
        return Moments(half, half, (self.C + self.C.T) / 2)

    def joint_factor(self) -> Array:
        """L (2d, 2d) with L Lᵀ = [[A, C], [Cᵀ, B]]: L g, g ~ N(0, I), has the moments of (x, x⁺)."""
        joint = np.block([[self.A, self.C], [self.C.T, self.B]])
        values, vectors = np.linalg.eigh(joint)
        return vectors * np.sqrt(np.clip(values, 0.0, None))  # rounding may leave -1e-17 for an exact 0


def plane_rotation(d: int, angle: float) -> Array:
    """Rotation of R^d by `angle` in each plane (0,1), (1,2), ... in turn; the identity for d = 1 or angle = 0."""
    R = np.eye(d)
    for i in range(d - 1) if angle else ():
        G = np.eye(d)
        G[i, i] = G[i + 1, i + 1] = np.cos(angle)
        G[i + 1, i], G[i, i + 1] = np.sin(angle), -np.sin(angle)
        R = G @ R
    return R


def gaussian_moments(views: GaussianViews) -> Moments:
    """A = X + N, B = R X Rᵀ + N, C = X Rᵀ (clean anchor: A = X). Raises MemoryError where they could never fit."""
    d = len(views.signal)
    check_memory(8 * 6 * d**2, f"the moments of d = {d:,} inputs")  # A, B, C; X, N, R
    X = np.diag(views.signal)
    Q, R = plane_rotation(d, views.angle), plane_rotation(d, views.twist)
    N = (Q * np.array(views.noise)) @ Q.T
    return Moments(X if views.anchor else X + N, R @ X @ R.T + N, X @ R.T)


def pool_moments(pool: Pool) -> Moments:
    """Sums over a pool: pairs are (view 0, view 1) if `paired`, else two independent views of one image.

    With replacement, so that C = E[x̄ x̄ᵀ] of the mean view x̄ and A = B: Tian et al.'s X and X + X'.
    """
    x = pool.x
    if pool.paired:
        x0, x1 = x[:, 0], x[:, 1]
        n = len(x)
        return Moments(x0.T @ x0 / n, x1.T @ x1 / n, x0.T @ x1 / n)
    flat, mean = x.reshape(-1, x.shape[-1]), x.mean(axis=1)
    A = flat.T @ flat / len(flat)
    return Moments(A, A, mean.T @ mean / len(mean))


def moments(setting: Setting) -> Moments:
    """The moments of a Setting's views, symmetrised where its objective is. Raises SettingError where there are none."""
    seed = setting.seed if isinstance(setting.views, ImageViews) else 0  # of Gaussian views all is in their own values
    return _moments(setting.views, seed, setting.objective.symmetrised)


@lru_cache(maxsize=256)
def _moments(views: Views, seed: int, symmetrised: bool) -> Moments:
    """Settings that differ in rates, starts or horizon share their views, and so this."""
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(views, GaussianViews):
            m = gaussian_moments(views)
        elif isinstance(views, ImageViews):
            m = pool_moments(image_pool(views, seed))
        else:
            raise SettingError(f"{type(views).__name__} has no linear moments: use gaussian or images views here")
        finite = all(np.isfinite(M).all() for M in (m.A + m.B, m.C, m.S))
    if not finite:
        raise SettingError("the moments of these views overflow: give smaller views.signal, noise or strength")
    return m.symmetrised() if symmetrised else m
