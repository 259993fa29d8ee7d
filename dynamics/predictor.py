"""Predictor and target: J = ½ E‖P W x - V x⁺‖², the matrix flow in all its variants. Written from the papers.

Source: note section 3.3; Tian et al. 2021, Lemma 1 (their (2)-(4)), symmetrised predictor flow (7), no stop-gradient
(Theorem 2). Operators that numpy arrays and torch tensors share (`optimal_predictor` alone is numpy's); every array may carry
leading batch axes, every rate may be (B, 1, 1).
"""

from __future__ import annotations

import numpy as np

from dynamics.run import Array


def residual_moment(W: Array, P: Array, V: Array, A: Array, C: Array) -> Array:
    """G = E[(V x⁺ - P W x) xᵀ] = V Cᵀ - P W A (..., k, d): what both gradients share."""
    return V @ C.mT - P @ (W @ A)


def loss(W: Array, P: Array, V: Array, A: Array, B: Array, C: Array) -> Array:
    """J = ½ E‖P W x - V x⁺‖² = ½ tr(P W A Wᵀ Pᵀ - 2 P W C Vᵀ + V B Vᵀ) (...); P = I, V = W is the invariance loss."""
    PW = P @ W
    return (((PW @ A) * PW).sum((-2, -1)) - 2 * ((PW @ C) * V).sum((-2, -1)) + ((V @ B) * V).sum((-2, -1))) / 2


def field(
    W: Array,
    P: Array,
    V: Array,
    A: Array,
    C: Array,
    alpha_p: float | Array,
    eta: float | Array,
    eta_p: float | Array,
) -> tuple[Array, Array]:
    """dW/dt = Pᵀ G - eta W,  dP/dt = alpha_p G Wᵀ - eta_p P, the target V held by the stop-gradient."""
    G = residual_moment(W, P, V, A, C)
    return P.mT @ G - eta * W, alpha_p * G @ W.mT - eta_p * P


def target_gradient(W: Array, P: Array, B: Array, C: Array) -> Array:
    """What the missing stop-gradient adds to dW/dt when V = W: P W C - W B (..., k, d)."""
    return P @ W @ C - W @ B


def target_field(W: Array, V: Array, beta: float | Array) -> Array:
    """dV/dt = beta (W - V): the exponential moving average in flow time."""
    return beta * (W - V)


def roots(A: Array, C: Array) -> tuple[Array, Array]:
    """R, K (..., d, d) with A = R Rᵀ and C = R Kᵀ, for `optimal_predictor`. Eigenvalues of A within its rounding count as 0."""
    values, vectors = np.linalg.eigh(A)
    kept = values > A.shape[-1] * np.finfo(float).eps * values[..., -1:]
    root = np.sqrt(np.where(kept, values, 0.0))
    inverse = np.where(kept, 1 / np.where(kept, root, 1.0), 0.0)
    return vectors * root[..., None, :], C.mT @ (vectors * inverse[..., None, :])


def optimal_predictor(W: Array, V: Array, R: Array, K: Array) -> Array:
    """P* = V Cᵀ Wᵀ (W A Wᵀ)⁺ (..., k, k), the minimiser of J over P (least norm where W A Wᵀ is singular); R, K: `roots`.

    As V K (W R)⁺: of W R, not of its square, small singular values keep their digits.
    """
    return V @ K @ np.linalg.pinv(W @ R, rcond=max(W.shape[-2:]) * np.finfo(float).eps)


def symmetric_part(M: Array) -> Array:
    """(M + Mᵀ)/2 (..., k, k)."""
    return (M + M.mT) / 2


def balance(W: Array, P: Array, alpha_p: float | Array) -> Array:
    """W Wᵀ - PᵀP / alpha_p (..., k, k); equals e^{-2 eta t} times its start under `field` with eta_p = eta (Theorem 1)."""
    return W @ W.mT - P.mT @ P / alpha_p
