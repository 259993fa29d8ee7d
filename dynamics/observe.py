"""Observables: what is read off embeddings and weights. Exact functions of arrays, batched over leading axes.

Every function takes numpy arrays, (..., k, k) or (..., k, d). Nothing here knows a loss or a flow.
"""

from __future__ import annotations

import numpy as np

from dynamics.run import Array


def embedding_covariance(W: Array, A: Array) -> Array:
    """W A Wᵀ (..., k, k): the uncentred second moment of z = W x."""
    return W @ A @ np.swapaxes(W, -1, -2)


def spectrum(M: Array) -> Array:
    """Eigenvalues (..., k) of the symmetric part of M, falling."""
    return np.linalg.eigvalsh((M + np.swapaxes(M, -1, -2)) / 2).astype(np.float64)[..., ::-1]


def singular_values(W: Array) -> Array:
    """Singular values (..., min(k, d)), falling."""
    return np.linalg.svd(W, compute_uv=False).astype(np.float64)


def effective_rank(eigenvalues: Array) -> Array:
    """exp(-Σ q log q) with q = λ / Σ λ (Roy & Vetterli 2007; the note's section 3.2). 0 where all λ are 0.

    Eigenvalues (..., k) must be >= 0 up to rounding; a total of exactly 0 is complete collapse, which spans nothing.
    """
    lam = np.clip(eigenvalues, 0.0, None)
    total = lam.sum(-1, keepdims=True)
    q = lam / np.where(total > 0, total, 1.0)
    entropy = -np.sum(np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0), -1)
    return np.where(total[..., 0] > 0, np.exp(entropy), 0.0)


def of_order_one(M: Array) -> Array:
    """M (..., n, m) over a power of two near its largest entry, exactly: squares of what is huge overflow, of what is tiny vanish."""
    return np.ldexp(M, -np.frexp(np.abs(M).max((-2, -1), keepdims=True))[1])


def commutator(M: Array, N: Array) -> Array:
    """‖MN - NM‖_F (...)."""
    return np.linalg.norm(M @ N - N @ M, axis=(-2, -1))


def normalised_commutator(M: Array, N: Array) -> Array:
    """‖MN - NM‖_F / (‖M‖_F ‖N‖_F), in [0, √2]: unlike the bare commutator it does not vanish because M or N does.

    NaN where M or N is exactly 0: alignment means nothing there.
    """
    M, N = of_order_one(M), of_order_one(N)
    scale = np.linalg.norm(M, axis=(-2, -1)) * np.linalg.norm(N, axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return commutator(M, N) / scale


def mode_pairs(P: Array, F: Array) -> tuple[Array, Array, Array]:
    """(p, s, cosine), each (..., k): per eigenvector u_j of F (falling s_j), p_j = u_jᵀ P u_j and cos(P u_j, u_j).

    |cosine| = 1 on every mode is alignment of P with F; where P u_j = 0 the cosine is NaN.
    """
    s, U = np.linalg.eigh((F + np.swapaxes(F, -1, -2)) / 2)
    s, U = s[..., ::-1], U[..., ::-1]
    PU = P @ U
    p = np.sum(U * PU, axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return p, s, p / np.linalg.norm(PU, axis=-2)
