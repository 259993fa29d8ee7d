"""Losses on the statistics of a batch: VICReg, Barlow Twins, Matrix-SSL, SIGReg and LeJEPA.

    z, z⁺   (…, N, d)  embeddings of the two views     Z  z minus its mean over the N samples

All need N >= 2: one sample has no spread. All are exact functions of their arrays, with no unit.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from full_models.losses.inputs import (
    centre,
    check_beside,
    check_finite,
    check_pair,
    check_positive,
    check_whole,
    is_paper,
    mean_off_diagonal,
    normalise,
    trace,
)

# Where the exact logarithm of `matrix_ssl` takes at most 940 nodes; below, they cost seconds and gigabytes
LEAST_RIDGE, LARGEST_RIDGE = 1e-8, 1e8


def vicreg(
    z: Tensor,
    z_plus: Tensor,
    *,
    lam: float = 25.0,
    mu: float = 25.0,
    nu: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
    convention: str = "paper",
) -> Tensor:
    """lam s + mu [v(z) + v(z⁺)] + nu [c(z) + c(z⁺)]  (…). Exact.

    v = (1/d) Σ_j max(0, gamma - √(Var z_j + eps)),  c = (1/d) Σ_{i≠j} Cov_ij², both with 1/(N-1);
    "paper": s = (1/N) Σ_n ‖z_n - z⁺_n‖² (Bardes et al. 2022 eq. 6). "reference", the authors' code: s divided by d too,
    and mu halved. Constant input: 2 mu (gamma - √eps), half that in the reference; gradient 0.
    Raises ValueError on shapes, eps <= 0 (at 0 a dead dimension has no derivative), weights that are not finite, N < 2.
    """
    check_pair(z, z_plus, least=2)
    check_positive(eps=eps)
    check_finite(lam=lam, mu=mu, nu=nu, gamma=gamma)
    s = (z - z_plus).square().sum(-1).mean(-1)
    if not is_paper(convention):
        s, mu = s / z.shape[-1], mu / 2
    terms = lam * s
    for view in (z, z_plus):
        covariance = centre(view).mT @ centre(view) / (view.shape[-2] - 1)
        deviation = (covariance.diagonal(dim1=-2, dim2=-1) + eps).sqrt()
        terms = terms + mu * (gamma - deviation).relu().mean(-1) + nu * _off_diagonal(covariance) / view.shape[-1]
    return terms


def barlow_twins(
    z: Tensor, z_plus: Tensor, *, lam: float = 0.0051, eps: float = 1e-5, convention: str = "paper"
) -> Tensor:
    """Σ_i (1 - C_ii)² + lam Σ_{i≠j} C_ij²  (…), C the correlation matrix of Z against Z⁺ over the samples. Exact.

    "paper": C_ij = Σ_n Z_ni Z⁺_nj / (‖Z_i‖ ‖Z⁺_j‖) (Zbontar et al. 2021 eq. 2, centred), eps not used; a dimension of
    norm below 1e-12 counts as uncorrelated. "reference", the authors' batch norm: each column divided by
    √(Var + eps), Var with 1/N, which decides the value once a deviation is near √eps. Constant input: d, gradient 0;
    in the paper's form by its floor only, and beside a view that still varies its gradient is of order 1e12.
    Raises ValueError on shapes, eps <= 0, lam not finite, N < 2.
    """
    check_pair(z, z_plus, least=2)
    check_positive(eps=eps)
    check_finite(lam=lam)
    N = z.shape[-2]
    Z, Z_plus = centre(z), centre(z_plus)
    if is_paper(convention):
        C = normalise(Z, dim=-2).mT @ normalise(Z_plus, dim=-2)
    else:
        scale, scale_plus = ((V.square().mean(-2, keepdim=True) + eps).rsqrt() for V in (Z, Z_plus))
        C = (Z * scale).mT @ (Z_plus * scale_plus) / N
    return (1 - C.diagonal(dim1=-2, dim2=-1)).square().sum(-1) + lam * _off_diagonal(C)


def matrix_ssl(
    z: Tensor,
    z_plus: Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 0.5,
    mu: float = 0.5,
    convention: str = "paper",
) -> Tensor:
    """H(lam I, C(z, z⁺) + mu I) + gamma H(C(z, z) + mu I, C(z⁺, z⁺) + mu I)  (…). Exact.

    C(a, b) = (1/N) âᵀ (I - 11ᵀ/N) b̂ with rows normalised. H, the matrix cross-entropy: "paper" tr(-P log Q + Q), log
    exact; NaN where det(C(z, z⁺) + mu I) <= 0, strongly anti-correlated views, which have no real logarithm.
    "reference", the authors' code: tr(-P log₄ Q) without tr Q, log₄ the Taylor series at I to fourth order.
    Constant input: (-lam log mu + mu) d + gamma (-mu log mu + mu) d in the paper's. One direction of the two.
    Source: Zhang et al. 2023, arXiv:2305.17326. Raises ValueError on shapes, mu <= 0 (the paper's: beyond
    1e-8 to 1e8), gamma or lam not finite, N < 2.
    """
    check_pair(z, z_plus, least=2)
    check_positive(mu=mu)
    check_finite(gamma=gamma, lam=lam)
    if is_paper(convention) and not LEAST_RIDGE <= mu <= LARGEST_RIDGE:
        raise ValueError(
            f"mu = {mu}: the exact logarithm asks for one from {LEAST_RIDGE:g} to {LARGEST_RIDGE:g}: give such, or the reference"
        )
    if is_paper(convention) and z.dtype in (torch.float16, torch.bfloat16):
        raise ValueError(
            f"the exact logarithm factors matrices, which torch does not of {z.dtype}: give float32 or float64"
        )
    N, d = z.shape[-2:]
    u, v = centre(normalise(z)), centre(normalise(z_plus))
    eye = torch.eye(d, dtype=z.dtype, device=z.device)
    cross, P, Q = (a.mT @ b / N + mu * eye for a, b in ((u, v), (u, u), (v, v)))
    if not is_paper(convention):
        return -lam * trace(_taylor_log(cross, eye)) - gamma * trace(P @ _taylor_log(Q, eye))
    sign, log_det = torch.linalg.slogdet(cross)  # tr log of a matrix that is not symmetric is its log det
    log_det = torch.where(sign > 0, log_det, torch.full_like(log_det, torch.nan))
    return -lam * log_det + trace(cross) + gamma * trace(Q - P @ _log(Q, eye, mu, mu + 1))


def sigreg(z: Tensor, z_plus: Tensor, *, directions: Tensor, knots: int = 17, convention: str = "paper") -> Tensor:
    """(1/2) Σ_views (1/M) Σ_a N ∫ |φ_a(t) - e^{-t²/2}|² e^{-t²/2} dt,  φ_a(t) = (1/N) Σ_n e^{i t a·z_n}  (…).

    directions (…, d, M): columns a, made unit here (`random_directions` draws them); a column of zeros sees every z at 0.
    The integral is the trapezoid rule
    with `knots` knots: "paper" on [-5, 5]; "reference" on [0, 3] doubled (the authors' minimal code). The value grows
    with N by definition, and for z ~ N(0, I) its mean is about 1, not 0. Exact for these directions; constant input is
    ordinary. Source: Balestriero & LeCun 2025, arXiv:2511.08544. Raises ValueError on shapes, and unless knots is a
    whole number >= 2.
    """
    check_pair(z, z_plus)
    check_beside("directions", directions, z, z.shape[-1], "M")
    check_whole(2, knots=knots)
    low, high, fold = (-5.0, 5.0, 1.0) if is_paper(convention) else (0.0, 3.0, 2.0)
    t = torch.linspace(low, high, knots, dtype=z.dtype, device=z.device)
    gauss = (-t.square() / 2).exp()
    a = normalise(directions, dim=-2)
    values = []
    for view in (z, z_plus):
        angle = (view @ a)[..., None] * t
        distance = (angle.cos().mean(-3) - gauss).square() + angle.sin().mean(-3).square()
        values.append(fold * view.shape[-2] * torch.trapezoid(distance * gauss, t, dim=-1).mean(-1))
    return (values[0] + values[1]) / 2


def lejepa(
    z: Tensor,
    z_plus: Tensor,
    *,
    directions: Tensor,
    lam: float = 0.02,
    knots: int = 17,
    convention: str = "paper",
) -> Tensor:
    """(1 - lam) mean_{v,n,j} (z_v - z̄)² + lam sigreg  (…), z̄ the mean of the two views. Exact; see `sigreg`.

    The first term is a mean over views, samples and the d dimensions (the authors' minimal code, used in both
    conventions); for two views it is ‖z - z⁺‖² / (4 d) averaged over samples. Raises ValueError as `sigreg`, and
    where lam is not finite.
    """
    check_finite(lam=lam)
    statistic = sigreg(z, z_plus, directions=directions, knots=knots, convention=convention)
    return (1 - lam) * (z - z_plus).square().mean((-2, -1)) / 4 + lam * statistic


def random_directions(
    d: int, M: int, generator: torch.Generator, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> Tensor:
    """M directions uniform on the unit sphere of R^d, as columns (d, M). Sampled from the generator given.

    Raises ValueError unless d and M are whole numbers >= 1.
    """
    check_whole(1, d=d, M=M)
    drawn = torch.randn(d, M, generator=generator, dtype=dtype, device=generator.device)
    return normalise(drawn, dim=-2).to(device)


def _off_diagonal(C: Tensor) -> Tensor:
    """Σ_{i≠j} C_ij² (…)."""
    d = C.shape[-1]
    return mean_off_diagonal(C.square()) * (d * (d - 1)) if d > 1 else 0 * trace(C)


def _taylor_log(Q: Tensor, eye: Tensor) -> Tensor:
    """X - X²/2 + X³/3 - X⁴/4, X = Q - I."""
    X = Q - eye
    square = X @ X
    return X - square / 2 + square @ X / 3 - square @ square / 4


_nodes = lru_cache(maxsize=8)(np.polynomial.legendre.leggauss)  # m³ operations, the same at every step of a training


def _log(Q: Tensor, eye: Tensor, low: float, high: float) -> Tensor:
    """log Q of a symmetric Q with eigenvalues in [low, high], to rounding, smooth where eigenvalues coincide.

    With Q = c(I + X): log c + ∫₀¹ X (I + xX)⁻¹ dx by Gauss-Legendre, whose relative error at an eigenvalue y of Q/c is
    of order |(1 - √y)/(1 + √y)|^(2m+1); an eigenvalue decomposition would have no derivative at equal eigenvalues.
    """
    c = math.sqrt(low * high)
    root = (high / low) ** 0.25
    m = max(4, math.ceil(-37 / (2 * math.log((root - 1) / (root + 1)))))  # e^-37 is below float64's rounding
    nodes, weights = _nodes(m)
    X = Q / c - eye
    log = math.log(c) * eye
    for x, w in zip((nodes + 1) / 2, weights / 2, strict=True):
        log = log + float(w) * torch.linalg.solve(eye + float(x) * X, X)
    return log
