"""The velocity of the InfoNCE flow on N fixed pairs, compiled, and the pairs as it takes them.

The loss is -(1/N) Σ_i log softmax_i(X WᵀW X⁺ᵀ / tau)_ii, its gradient W (M + Mᵀ) with M = Xᵀ E X⁺, E = (softmax - I)/(N tau).
Dearest are the N² scores, made of N x d matrices and turned into them again. But r = min(N, d) rows B of X carry all others:
X = [I; A] B once the pairs are put in that order, and in

    scores = [H; A H],  H = B WᵀW X⁺ᵀ        M = Bᵀ ([I | Aᵀ] E) X⁺

there is no product by I: a seventh less where N = 2 d. That is the way of flows that are not slim; where k is so small that
no d x d matrix should be made, dW = -((E X⁺Wᵀ)ᵀ X + (Eᵀ X Wᵀ)ᵀ X⁺).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from dynamics.exponential import exponentials
from dynamics.matrix_compiled import compiled
from dynamics.run import Array

LOWEST, HIGHEST = -700.0, 690.0  # exponents: what `exponentials` takes, and what a sum of 10^8 terms can take
OVERFLOW = np.exp(HIGHEST)
TILE = 16  # rows and columns of a square that the first cache holds beside its mirror image


@compiled
def slim(k, d):
    """Is k so small beside d that, of many pairs N, three products of N x N x k cost less than two of N x N x d?"""
    return 3 * k < 2 * d


def arranged(X: Array, X_plus: Array, k: int) -> tuple[Array, Array]:
    """N pairs (N, d) as `velocity` takes them for k outputs: as they are, or ([B; A], X⁺) in the order in which X = [I; A] B."""
    if slim(k, X.shape[1]):
        return X, X_plus
    rows, order = carried(X)
    return rows, np.ascontiguousarray(X_plus[order])


def carried(X: Array) -> tuple[Array, NDArray[np.intp]]:
    """([B; A], order): X[order] = [I; A] B, B (r, d) the r = min(N, d) rows that a QR decomposition with pivoting takes first.

    They are the farthest from what the rows before span, so that A has entries of order one, and rounding grows by no more.
    """
    most, r = np.abs(X).max(0), min(X.shape)
    unit = X / np.where(most > 0, most, 1.0)  # A is the same in any units of the inputs; so is its rounding then
    found: Any = qr(unit.T, mode="r", pivoting=True)  # scipy's types do not know of pivots
    order = found[1]
    A: Any = np.linalg.lstsq(unit[order[:r]].T, unit[order[r:]].T)[0].T  # also where X has no r independent rows
    return np.concatenate([X[order[:r]], A.reshape(-1, X.shape[1])]), order


@compiled
def velocity(p, y, dy):
    """dy <- -(M + Mᵀ) Wᵀ at y = Wᵀ (d, k), end to end. p: see `dynamics.matrix_field`."""
    _, k, d, _, _, _, _, rates, X, X_plus, Q, G, stack, scores = p
    if slim(k, d):
        _by_outputs(k, d, rates[0], X, X_plus, G, stack, scores, y, dy)
    else:
        _by_inputs(k, d, rates[0], X, X_plus, Q, G, stack, scores, y, dy)


@compiled
def _by_outputs(k, d, tau, X, X_plus, G, stack, scores, y, dy):
    """Seven products, none of d x d. G (d, k), stack (3 N, k)."""
    N, W, dW = len(X), y.reshape(d, k), dy.reshape(d, k)
    E, Z, Z_plus, T = scores[:N], stack[:N], stack[N : 2 * N], stack[2 * N :]
    np.dot(X, W, Z)
    np.dot(X_plus, W, Z_plus)
    np.dot(Z, Z_plus.T, E)
    _softmax_minus_one(E, scores[N], scores[N + 1], tau)
    np.dot(E, Z_plus, T)
    np.dot(X.T, T, dW)
    np.dot(E.T, Z, T)
    np.dot(X_plus.T, T, G)
    for i in range(len(dy)):
        dy[i] = -dy[i] - G.ravel()[i]


@compiled
def _by_inputs(k, d, tau, X, X_plus, Q, G, stack, scores, y, dy):
    """Eight products, two of them by A, which is empty where N <= d: six there. Q (r, N), G (d, d), stack (r, d)."""
    N, W, dW = len(X), y.reshape(d, k), dy.reshape(d, k)
    r, E = min(N, d), scores[:N]
    B, A, H = X[:r], X[r:], E[:r]
    np.dot(W, W.T, G)
    np.dot(B, G, stack)
    np.dot(stack, X_plus.T, H)
    if r < N:
        np.dot(A, H, E[r:])
    _softmax_minus_one(E, scores[N], scores[N + 1], tau)
    if r < N:
        np.dot(A.T, E[r:], Q)
        for i in range(r):
            for j in range(N):
                Q[i, j] += H[i, j]
    np.dot(Q if r < N else H, X_plus, stack)
    np.dot(B.T, stack, G)
    _add_transpose(G)
    np.dot(G, W, dW)


@compiled
def _softmax_minus_one(E, shifted, powers, tau):
    """(softmax of each row over tau, less the unit matrix) / (N tau), in place; shifted and powers (N,) are overwritten.

    A row's exponents are of its scores less the positive's, so that their sum is 1 at least: no pass over the row looks for the
    largest score, but where that lies so far above that the sum would overflow.
    """
    N, inverse = len(E), 1 / tau
    for i in range(N):
        row = E[i]
        total = _powers(row, row[i], inverse, shifted, powers)
        if not total < OVERFLOW:
            total = _powers(row, _largest(row), inverse, shifted, powers)
        for j in range(N):
            row[j] = powers[j] * (inverse / (total * N))
        row[i] -= inverse / N


@compiled
def _powers(row, origin, inverse, shifted, powers):
    """powers <- exp of (row - origin) * inverse, cut off at LOWEST and HIGHEST; returns their sum."""
    for j in range(len(row)):
        shifted[j] = min(max((row[j] - origin) * inverse, LOWEST), HIGHEST)
    exponentials(shifted, powers)
    total = 0.0
    for j in range(len(row)):
        total += powers[j]
    return total


@compiled
def _largest(row):
    top = row[0]
    for j in range(1, len(row)):
        top = max(top, row[j])
    return top


@compiled
def _add_transpose(G):
    """G <- -(G + Gᵀ), square by square: a column read from end to end would leave the first cache."""
    for low in range(0, len(G), TILE):
        for left in range(0, low + 1, TILE):
            for i in range(low, min(low + TILE, len(G))):
                for j in range(left, min(left + TILE, i + 1)):
                    G[i, j] = G[j, i] = -(G[i, j] + G[j, i])
