"""Minibatches for ensembles of linear networks: pairs in columns, or only their second moments; blocks of many steps.

    Pairs     X (S, d, n), Y (S, d, n)        columns x, x⁺: the n pairs of each of S steps
    Moments   A (S, d, d), C (S, d, d), B     A = X Xᵀ/n, C = X Yᵀ/n, B = Y Yᵀ/n: all the gradient of a quadratic loss asks for

The transforms of the objective are taken here, on what all learning rates share: a symmetrised loss sees every pair in
both orders (2n columns; (A + B)/2 and (C + Cᵀ)/2), and the invariance loss is the predictor loss with P = I on the pair
(x - x⁺, 0).

**Gaussian pairs** come from their joint law, 2 normals a coordinate: (x, x⁺) = L g with L Lᵀ = [[A, C], [Cᵀ, B]], L
lower triangular. **Their moments** can be drawn without the pairs, from the triangles R of `full_models.bartlett`: as the
pairs, 2d columns L Rᵀ have A, B and C, and the first d of them have A and C already. Sampled; the law is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from dynamics.images import image_pool
from dynamics.setting import ImageViews, Setting, SettingError
from dynamics.views import moments
from full_models.bartlett import degrees, moments_of_triangles, triangles
from full_models.law import Law
from full_models.normals import Normals


class Pairs(NamedTuple):
    """Columns x and x⁺, each (…, d, n): numpy arrays or tensors."""

    X: Any
    Y: Any


class Moments(NamedTuple):
    """A, C, and B where the gradient runs through the target too (else None), each (…, d, d)."""

    A: Any
    C: Any
    B: Any


Batch = Pairs | Moments


class Stream(Protocol):
    """One replica's minibatches in order; how a run is cut into `take`s does not change them."""

    def take(self, steps: int) -> Batch:
        """The next `steps` minibatches, stacked on a leading axis."""
        ...


@dataclass(frozen=True)
class Shape:
    """What the objective asks of a batch. rows: of R, d or 2d; by_moments: whether moments are cheaper than pairs."""

    d: int
    n: int
    invariance: bool
    symmetrised: bool
    through: bool

    @staticmethod
    def of(setting: Setting) -> Shape:
        o = setting.objective
        through = o.loss == "predictor" and not o.stop_gradient and o.target == "online"
        return Shape(moments(setting).d, setting.training.batch, o.loss == "invariance", o.symmetrised, through)

    @property
    def rows(self) -> int:
        return 2 * self.d if self.invariance or self.symmetrised or self.through else self.d

    @property
    def by_moments(self) -> bool:
        """n >= rows: then the moments carry fewer numbers than the pairs, and Bartlett's factor exists."""
        return self.n >= self.rows


def batch_of(shape: Shape, X: Any, Y: Any, n: int | None = None) -> Batch:
    """The Batch of columns X, Y (…, d, m), numpy or torch, after the objective's transforms; exact.

    n: how many pairs the columns stand for, where that is not m. Moments if `shape.by_moments`, else Pairs.
    """
    count: int = n or X.shape[-1]
    if not shape.by_moments:
        if shape.invariance:
            return Pairs(X - Y, 0 * Y)
        if shape.symmetrised:
            join: Callable[..., Any] = np.concatenate if isinstance(X, np.ndarray) else torch.cat
            return Pairs(join([X, Y], -1), join([Y, X], -1))
        return Pairs(X, Y)
    if shape.invariance:
        D = X - Y
        S = _mean(D, D, count)
        return Moments(S, 0 * S, None)
    A, C = _mean(X, X, count), _mean(X, Y, count)
    B = _mean(Y, Y, count) if shape.symmetrised or shape.through else None
    if shape.symmetrised:
        A, C = (A + B) / 2, (C + C.mT) / 2
        B = A if shape.through else None
    return Moments(A, C, B)


def _mean(X: Any, Y: Any, n: int) -> Any:
    """X Yᵀ/n, divided in place."""
    product = X @ Y.mT
    if n != 1:  # 1/n may be in the columns already: then no pass over the memory of many products
        product /= n
    return product


@dataclass
class GaussianStream:
    """Gaussian pairs of a Setting, or their moments where `Shape.by_moments`, from the replica's own generators."""

    setting: Setting
    replica: int
    dtype: Any = np.float64

    def __post_init__(self) -> None:
        self.shape, self.law = Shape.of(self.setting), Law.of(self.setting).map(lambda M: M.astype(self.dtype))
        # Two generators: χ² is drawn by rejection, which would shift the normals by an amount that depends on the block.
        seeds = np.random.SeedSequence([self.setting.seed, 5, self.replica]).spawn(2)
        self.normals, self.chi = Normals(seeds[0], self.dtype), np.random.Generator(np.random.SFC64(seeds[1]))

    def take(self, steps: int) -> Batch:
        d, n, m = self.shape.d, self.shape.n, self.shape.rows
        if not self.shape.by_moments:
            return batch_of(self.shape, *self.law.columns(self.normals.fill((steps, 2 * d, n))))
        upper = self.normals.fill((steps, 2 * d * m - m * (m + 1) // 2))
        diagonal = np.sqrt(2 * self.chi.standard_gamma(degrees(n, m) / 2, (steps, m)))
        diagonal = diagonal.astype(self.dtype)
        if self.law.diagonals is None or m > d:
            return batch_of(self.shape, *self.law.columns(triangles(upper, diagonal, 2 * d).mT), n=n)
        a, b, c = (v[:, 0] for v in self.law.diagonals)
        A, C = moments_of_triangles(upper, diagonal, a, b, c, n)
        return Moments(A, C, None)


@dataclass
class ImageStream:
    """Two views, with replacement, of images of the Setting's pool; moments where these are cheaper."""

    setting: Setting
    replica: int
    dtype: Any = np.float64

    def __post_init__(self) -> None:
        views = self.setting.views
        if not isinstance(views, ImageViews):
            raise SettingError(f"{type(views).__name__} has no images: use images views here")
        self.shape, pool = Shape.of(self.setting), image_pool(views, self.setting.seed)
        self.x, self.paired = pool.x.astype(self.dtype), pool.paired
        self.rng = np.random.Generator(np.random.SFC64([self.setting.seed, 5, self.replica]))

    def take(self, steps: int) -> Batch:
        count, views, _ = self.x.shape
        # Uniforms, not integers: their stream is the same however it is cut into blocks.
        i, first, second = (self.rng.random((steps, self.shape.n, 3)) * (count, views, views)).astype(int).T
        if self.paired:
            first, second = np.zeros_like(i), np.ones_like(i)
        X, Y = (np.ascontiguousarray(self.x[i.T, v.T].mT) for v in (first, second))
        return batch_of(self.shape, X, Y)


def stream(setting: Setting, replica: int, dtype: Any = np.float64) -> Stream:
    """The Setting's own minibatches for one replica. Raises SettingError where the views have no linear moments."""
    kind = ImageStream if isinstance(setting.views, ImageViews) else GaussianStream
    return kind(setting, replica, dtype)
