"""The kinds of views: where a pair (x, x⁺) comes from, as a few plain values of a Setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GaussianViews:
    """Linear-Gaussian views: a ~ N(0, X), x = a (+ e), x⁺ = R a + e⁺, e, e⁺ ~ N(0, N) independent.

    X = diag(signal); N = Q diag(noise) Qᵀ with Q a rotation by `angle` in each coordinate plane (i, i+1), so `angle`
    = 0 makes A and C commute; R is the same kind of rotation by `twist`, so `twist` != 0 makes C non-symmetric.
    `anchor`: x = a without noise (a clean anchor) instead of exchangeable noise on both views.
    """

    signal: tuple[float, ...] = (1.0, 1.0)
    noise: tuple[float, ...] = (0.25, 0.25)
    angle: float = 0.0
    twist: float = 0.0
    anchor: bool = False


@dataclass(frozen=True)
class ImageViews:
    """Views of real images: `count` images of `data` under the named augmentation, projected to `d` leading
    principal components and scaled so that the largest eigenvalue of A is 1 (d = 0: raw pixels, for deep networks).

    data: "digits", "fashion", or the path of an .npz with arrays `x` and `x_plus` (augment = "pairs").
    augment: "shift" (all translations by up to `strength` pixels), "noise" (Gaussian of std `strength`),
    "mask" (a share `strength` of the pixels set to 0), or "pairs".
    """

    data: str = "digits"
    augment: str = "shift"
    strength: float = 1.0
    d: int = 8
    count: int = 512


@dataclass(frozen=True)
class PointViews:
    """A finite law of unit vectors in R^d: n points u_i ∝ c + scatter g_i, each with a positive ∝ u_i + spread g'_i,
    g Gaussian. scatter = spread = 0 is complete collapse onto the point c.

    The embeddings themselves are given; no network runs. Expectations are sums over the points, hence exact.
    """

    n: int = 4
    d: int = 3
    scatter: float = 1.0
    spread: float = 0.5


@dataclass(frozen=True)
class ChannelViews:
    """A discrete channel: S uniform on `states`, nuisance uniform on `nuisances`, X = T(S, N) a table of symbols.

    injective: distinct (s, n) give distinct x, so that x determines s; otherwise symbols are drawn at random.
    """

    states: int = 3
    nuisances: int = 2
    injective: bool = True


Views = GaussianViews | ImageViews | PointViews | ChannelViews
VIEWS: dict[str, type[Views]] = {
    "gaussian": GaussianViews,
    "images": ImageViews,
    "points": PointViews,
    "channel": ChannelViews,
}
