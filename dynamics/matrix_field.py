"""The velocities of the matrix flows of one member, compiled: predictor with stop-gradient, and InfoNCE.

A state is y (n,) = the *transposes* [Wᵀ | Vᵀ | Pᵀ] end to end ([Wᵀ | Pᵀ] where V = W), in a basis of the inputs in
which A = diag(a). Then [Vᵀ; Pᵀ] is one contiguous (d+k, k) matrix, and of the eight products of the flow as printed
four remain, in three calls, every result in place:

    Gᵀ = [C | -a∘Wᵀ] [Vᵀ; Pᵀ]    dWᵀ = Gᵀ P - eta Wᵀ    dPᵀ = alpha_p W Gᵀ - eta_p Pᵀ    dVᵀ = beta (Wᵀ - Vᵀ)

and three where C = diag(c) too. `dynamics.matrix_flow` says what each flow means.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dynamics.exponential import exponentials
from dynamics.machine_code import kept_jit

PREDICTOR, INFO_NCE, INFO_NCE_SAMPLES = 0, 1, 2  # whose velocity

ABREAST = 64  # entries of a row whose maxima are kept side by side
FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums may be reordered and fused; NaN and infinity keep their meaning
compiled: Any = kept_jit(nogil=True, error_model="numpy", fastmath=FAST)


@compiled
def velocity(p, y, dy):
    """dy <- the field at y. p = (kind, k, d, ema, symmetric, a, c, rates, X, X⁺, Q, Gᵀ, stack, scores): what `workspace`
    makes. Q[:, :d] holds C, or Q is (d, k) where C is diagonal."""
    if p[0] == PREDICTOR:
        _predictor(p, y, dy)
    elif p[0] == INFO_NCE:
        _info_nce(p, y, dy)
    else:
        _info_nce_samples(p, y, dy)


@compiled
def _predictor(p, y, dy):
    _, k, d, ema, symmetric, a, c, rates, _, _, Q, G, _, _ = p
    alpha_p, eta, eta_p, beta = rates[0], rates[1], rates[2], rates[3]
    kd, v = k * d, (k * d if ema else 0)  # where Vᵀ begins
    W, V, P = y[:kd].reshape(d, k), y[v : v + kd].reshape(d, k), y[v + kd :].reshape(k, k)
    dW, dP = dy[:kd].reshape(d, k), dy[v + kd :].reshape(k, k)
    left = Q.shape[1] - k  # d where C fills the left of Q, 0 where A and C commute
    for i in range(d):
        for j in range(k):
            Q[i, left + j] = -a[i] * W[i, j]
    if left:
        np.dot(Q, y[v:].reshape(d + k, k), G)
    else:
        np.dot(Q, P, G)
        for i in range(d):
            for j in range(k):
                G[i, j] += c[i] * V[i, j]
    np.dot(G, P.T, dW)
    np.dot(W.T, G, dP)
    if eta != 0.0:
        for i in range(kd):
            dy[i] -= eta * y[i]
    for i in range(v + kd, len(y)):
        dy[i] = alpha_p * dy[i] - eta_p * y[i]
    if symmetric:
        for i in range(k):
            for j in range(i):
                dP[i, j] = dP[j, i] = (dP[i, j] + dP[j, i]) / 2
    if ema:
        for i in range(kd):
            dy[kd + i] = beta * (y[i] - y[kd + i])


@compiled
def _info_nce(p, y, dy):
    """dWᵀ = (2/tau) (C - A WᵀW A/tau) Wᵀ: minus the gradient for Gaussian views and infinitely many samples.

    Where k < d/2, or C is diagonal, it is cheaper as (2/tau) [C | -A Wᵀ/tau] [Wᵀ; W A Wᵀ].
    """
    _, k, d, _, _, a, c, rates, _, _, Q, G, stack, _ = p
    tau = rates[0]
    W, dW = y.reshape(d, k), dy.reshape(d, k)
    left = Q.shape[1] - k
    if left and not narrow(k, d):
        np.dot(W, W.T, G)
        for i in range(d):
            for j in range(d):
                G[i, j] = Q[i, j] - a[i] * G[i, j] * a[j] / tau
        np.dot(G, W, dW)
    else:
        for i in range(d):
            for j in range(k):
                G[i, j] = a[i] * W[i, j]
                Q[i, left + j] = -G[i, j] / tau
        for i in range(left):
            for j in range(k):
                stack[i, j] = W[i, j]
        np.dot(W.T, G, stack[left:])
        np.dot(Q, stack, dW)
        if not left:
            for i in range(d):
                for j in range(k):
                    dW[i, j] += c[i] * W[i, j]
    for i in range(len(y)):
        dy[i] *= 2 / tau


@compiled
def _info_nce_samples(p, y, dy):
    """dWᵀ = -(M + Mᵀ) Wᵀ: minus the gradient of -(1/N) Σ_i log softmax_i(Z Z⁺ᵀ / tau)_i with Z = X Wᵀ, Z⁺ = X⁺ Wᵀ.

    M = Xᵀ E X⁺ with E = (softmax - I)/(N tau). Where k < d/2 it is cheaper not to make M: dWᵀ = -(Xᵀ E Z⁺ + X⁺ᵀ Eᵀ Z);
    and where k >= d to make the scores from WᵀW.
    """
    _, k, d, _, _, _, _, rates, X, X_plus, Q, G, stack, scores = p
    N = len(X)
    W, dW, E = y.reshape(d, k), dy.reshape(d, k), scores[:N]
    Z, Z_plus, T = stack[:N], stack[N : 2 * N], stack[2 * N :]
    if k < d:
        np.dot(X, W, Z)
        np.dot(X_plus, W, Z_plus)
        np.dot(Z, Z_plus.T, E)
    else:
        np.dot(W, W.T, G)
        np.dot(G, X_plus.T, Q)
        np.dot(X, Q, E)
    _softmax_minus_one(E, scores[N], rates[0])
    if narrow(k, d):
        np.dot(E, Z_plus, T)
        np.dot(X.T, T, dW)
        np.dot(E.T, Z, T)
        np.dot(X_plus.T, T, G)
        for i in range(len(dy)):
            dy[i] = -dy[i] - G.ravel()[i]
    else:
        np.dot(X.T, E, Q)
        np.dot(Q, X_plus, G)
        for i in range(d):
            for j in range(i + 1):
                G[i, j] = G[j, i] = -(G[i, j] + G[j, i])
        np.dot(G, W, dW)


@compiled
def narrow(k, d):
    """Is k so small beside d that two products by a d x k matrix cost less than one by d x d?"""
    return 2 * k < d


@compiled
def _softmax_minus_one(E, shifted, tau):
    """(softmax of each row over tau, less the unit matrix) / (N tau), in place; `shifted` (N,) is overwritten."""
    N = len(E)
    for i in range(N):
        row, total = E[i], 0.0
        top = largest(row, shifted)
        for j in range(N):
            shifted[j] = max(
                (row[j] - top) / tau, -700.0
            )  # e^-700, the least that `exponentials` takes, is nothing beside 1
        exponentials(shifted, row)
        for j in range(N):
            total += row[j]
        for j in range(N):
            row[j] *= 1 / (total * N * tau)
        row[i] -= 1 / (N * tau)


@compiled
def largest(x, best):
    """max x, of `best` (as long as x) as many entries overwritten as are looked at side by side: one running maximum would wait
    for itself, and NaN, whose place counts, forbids the compiler to split it."""
    n, whole = len(x), len(x) // ABREAST * ABREAST
    top = x[0]
    if whole > 0:
        side = best[:ABREAST]
        for i in range(ABREAST):
            side[i] = x[i]
        for lo in range(ABREAST, whole, ABREAST):
            part = x[lo : lo + ABREAST]
            for i in range(ABREAST):
                side[i] = max(side[i], part[i])
        for i in range(ABREAST):
            top = max(top, side[i])
    for i in range(whole, n):
        top = max(top, x[i])
    return top
