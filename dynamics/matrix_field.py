"""The velocities of the matrix flows of one member, compiled: predictor with and without stop-gradient, and InfoNCE.

A state is y (n,) = the *transposes* [Wᵀ | Vᵀ | Pᵀ] end to end ([Wᵀ | Pᵀ] where V = W), in a basis of the inputs in
which A = diag(a). Then [Vᵀ; Pᵀ] is one contiguous (d+k, k) matrix, and of the eight products of the flow as printed
four remain, in three calls, every result in place:

    Gᵀ = [C | -a∘Wᵀ] [Vᵀ; Pᵀ]    dWᵀ = Gᵀ P - eta Wᵀ    dPᵀ = alpha_p W Gᵀ - eta_p Pᵀ    dVᵀ = beta (Wᵀ - Vᵀ)

and three where C = diag(c) too. Without stop-gradient T = Wᵀ Pᵀ is made first, and B = E[x⁺x⁺ᵀ] comes in:

    Gᵀ = C Wᵀ - a∘T    dWᵀ = Gᵀ P + Cᵀ T - B Wᵀ - eta Wᵀ    dPᵀ as above

six products, and three where C = diag(c), B = diag(b). `dynamics.matrix_flow` says what each flow means.
"""

from __future__ import annotations

import numpy as np

from dynamics.matrix_compiled import compiled
from dynamics.matrix_samples import velocity as on_samples

PREDICTOR, INFO_NCE, INFO_NCE_SAMPLES, NO_STOP_GRADIENT = 0, 1, 2, 3  # whose velocity


@compiled
def velocity(p, y, dy):
    """dy <- the field at y. p = (kind, k, d, ema, symmetric, a, c, rates, X, X⁺, Q, Gᵀ, stack, scores), the last four
    working memory (`matrix_driver.advance_all`). Q[:, :d] holds C, or Q is (d, k) where C is diagonal. Without stop-gradient
    c = [c | b], and Q = [C; B] has no columns where both are diagonal."""
    if p[0] == PREDICTOR:
        _predictor(p, y, dy)
    elif p[0] == NO_STOP_GRADIENT:
        _no_stop_gradient(p, y, dy)
    elif p[0] == INFO_NCE:
        _info_nce(p, y, dy)
    else:
        on_samples(p, y, dy)


@compiled
def _predictor(p, y, dy):
    _, k, d, ema, symmetric, a, c, rates, _, _, Q, G, _, _ = p
    beta = rates[3]
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
    _decay(kd, v + kd, symmetric, rates, y, dy, dP)
    if ema:
        for i in range(kd):
            dy[kd + i] = beta * (y[i] - y[kd + i])


@compiled
def _no_stop_gradient(p, y, dy):
    _, k, d, _, symmetric, a, c, rates, _, _, Q, G, stack, _ = p
    kd = k * d
    W, P = y[:kd].reshape(d, k), y[kd:].reshape(k, k)
    dW, dP = dy[:kd].reshape(d, k), dy[kd:].reshape(k, k)
    T, CW, BW = stack[:d], stack[d : 2 * d], stack[2 * d :]
    np.dot(W, P, T)
    if Q.shape[1]:
        np.dot(Q, W, stack[d:])
    else:
        for i in range(d):
            for j in range(k):
                CW[i, j], BW[i, j] = c[i] * W[i, j], c[d + i] * W[i, j]
    for i in range(d):
        for j in range(k):
            G[i, j] = CW[i, j] - a[i] * T[i, j]
    np.dot(G, P.T, dW)
    np.dot(W.T, G, dP)
    if Q.shape[1]:
        np.dot(Q[:d].T, T, G)
    else:
        for i in range(d):
            for j in range(k):
                G[i, j] = c[i] * T[i, j]
    for i in range(d):
        for j in range(k):
            dW[i, j] += G[i, j] - BW[i, j]
    _decay(kd, kd, symmetric, rates, y, dy, dP)


@compiled
def _decay(kd, first, symmetric, rates, y, dy, dP):
    """dW and, from its first entry on, dP as the rates have them: decay, alpha_p, and the symmetric part if asked for."""
    alpha_p, eta, eta_p = rates[0], rates[1], rates[2]
    if eta != 0.0:
        for i in range(kd):
            dy[i] -= eta * y[i]
    for i in range(first, len(y)):
        dy[i] = alpha_p * dy[i] - eta_p * y[i]
    if symmetric:
        for i in range(len(dP)):
            for j in range(i):
                dP[i, j] = dP[j, i] = (dP[i, j] + dP[j, i]) / 2


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
def narrow(k, d):
    """Is k so small beside d that two products by a d x k matrix cost less than one by d x d?"""
    return 2 * k < d
