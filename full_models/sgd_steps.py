"""SGD steps of many linear networks on given batches, with the gradient of the loss written by hand.

The loss of one batch of n pairs (columns x_i, x_i⁺) is J = (1/2n) Σ_i |e_i|², e = P W x - V x⁺. With X, Y the columns,
E = P W X - V Y and dJ = (1/n) tr Eᵀ dE, so that

    ∂J/∂W = Pᵀ E Xᵀ/n     ∂J/∂P = E (W X)ᵀ/n     ∂J/∂V = -E Yᵀ/n  (added to ∂J/∂W where V is W and not detached)

and, as E Xᵀ/n = P W A - V Cᵀ and E Yᵀ/n = P W C - V B with A = X Xᵀ/n, C = X Yᵀ/n, B = Y Yᵀ/n, from the moments alone

    ∂J/∂W = Pᵀ G          ∂J/∂P = G Wᵀ           G = P W A - V Cᵀ

W (k, d), P (k, k), V (k, d). Six products of a step with pairs, five with moments; exact, equal to autograd to rounding.
A step is `full_models.linear`'s:  W ← W - h (∂J/∂W + eta W),  P ← P - h (alpha_p ∂J/∂P + eta_p P),  V ← V + h beta
(W_old - V), or V = W. Two forms of it: `compiled` runs a whole block for one network after another, so that its weights stay
in the first caches and OpenBLAS multiplies; `Batched` advances all networks by one step in tensors, on any device.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from dynamics.run import Array
from dynamics.setting import Setting
from full_models.batches import Batch, Pairs


class Rates(NamedTuple):
    """Each a number, or an array over the networks (lanes)."""

    h: Any
    eta: Any
    eta_p: Any
    alpha_p: Any
    beta: Any


class Parts(NamedTuple):
    """What moves, and how: P is learned, its gradient symmetrised; V is an average of W; the gradient passes V too."""

    learned: bool
    symmetric: bool
    ema: bool
    through: bool

    @staticmethod
    def of(setting: Setting) -> Parts:
        o = setting.objective
        learned = o.loss == "predictor" and o.predictor in ("linear", "symmetric")
        through = o.loss == "predictor" and not o.stop_gradient and o.target == "online"
        return Parts(learned, o.predictor == "symmetric", o.target == "ema", through)


class Weights(NamedTuple):
    """W (…, k, d), P (…, k, k), V (…, k, d): arrays or tensors, changed in place. V is not used without EMA."""

    W: Any
    P: Any
    V: Any


def compiled(parts: Parts, rates: Rates, weights: Weights, batch: Batch) -> None:
    """Advance the lanes (L, …) in place by the S steps of one replica's batch, all on the same pairs."""
    if isinstance(batch, Pairs):
        _steps_on_pairs(parts, rates, *weights, batch.X, batch.Y)
    else:
        _steps_on_moments(parts, rates, *weights, batch.A, batch.C, batch.A if batch.B is None else batch.B)


@numba.njit(cache=True, nogil=True)
def _steps_on_pairs(parts: Parts, rates: Rates, W: Array, P: Array, V: Array, X: Array, Y: Array) -> None:
    (L, k, d), (S, _, n) = W.shape, X.shape
    share = W.dtype.type(1 / n)
    H, E, D = np.empty((k, n), W.dtype), np.empty((k, n), W.dtype), np.empty((k, n), W.dtype)
    gW, gP, gV = np.empty((k, d), W.dtype), np.zeros((k, k), W.dtype), np.zeros((k, d), W.dtype)
    for s in range(S):
        for l in range(L):
            np.dot(W[l], X[s], H)
            np.dot(P[l], H, E)
            np.dot(V[l] if parts.ema else W[l], Y[s], D)
            for i in range(k):
                for j in range(n):
                    E[i, j] = share * (E[i, j] - D[i, j])
            np.dot(P[l].T, E, D)
            np.dot(D, X[s].T, gW)
            if parts.learned:
                np.dot(E, H.T, gP)
            if parts.through:
                np.dot(E, Y[s].T, gV)
            _update(parts, rates, l, W[l], P[l], V[l], gW, gP, gV)


@numba.njit(cache=True, nogil=True)
def _steps_on_moments(parts: Parts, rates: Rates, W: Array, P: Array, V: Array, A: Array, C: Array, B: Array) -> None:
    L, k, d = W.shape
    Q, G, D = np.empty((k, d), W.dtype), np.empty((k, d), W.dtype), np.empty((k, d), W.dtype)
    gW, gP, gV = np.empty((k, d), W.dtype), np.zeros((k, k), W.dtype), np.zeros((k, d), W.dtype)
    for s in range(len(A)):
        for l in range(L):
            target = V[l] if parts.ema else W[l]
            np.dot(P[l], W[l], Q)
            np.dot(Q, A[s], G)
            np.dot(target, C[s].T, D)
            G -= D
            np.dot(P[l].T, G, gW)
            if parts.learned:
                np.dot(G, W[l].T, gP)
            if parts.through:
                np.dot(Q, C[s], gV)
                np.dot(target, B[s], D)
                gV -= D
            _update(parts, rates, l, W[l], P[l], V[l], gW, gP, gV)


@numba.njit(cache=True, nogil=True, inline="always")
def _update(parts: Parts, rates: Rates, l: int, W: Array, P: Array, V: Array, gW: Array, gP: Array, gV: Array) -> None:
    """One step of lane l from ∂J/∂W = gW - gV, ∂J/∂P = gP, in place. Loops that no branch or store into W can slow."""
    k, d = W.shape
    h, alpha = rates.h[l], rates.h[l] * rates.alpha_p[l]
    keep_W, keep_P, pull = 1 - h * rates.eta[l], 1 - h * rates.eta_p[l], h * rates.beta[l]
    if parts.ema:
        for i in range(k):
            for j in range(d):
                V[i, j] += pull * (W[i, j] - V[i, j])
    if parts.through:
        gW -= gV
    for i in range(k):
        for j in range(d):
            W[i, j] = keep_W * W[i, j] - h * gW[i, j]
    if parts.symmetric:
        for i in range(k):
            for j in range(i):
                gP[i, j] = gP[j, i] = (gP[i, j] + gP[j, i]) / 2
    if parts.learned:
        for i in range(k):
            for j in range(k):
                P[i, j] = keep_P * P[i, j] - alpha * gP[i, j]


class Batched:
    """All lanes of all replicas by one step at a time: weights (R, L, …), tensors on one device; buffers are kept."""

    def __init__(self, parts: Parts, rates: Rates, weights: Weights) -> None:
        self.parts, (self.W, self.P, self.V) = parts, weights
        W: Tensor = self.W
        self.rates = Rates(*(torch.as_tensor(r, dtype=W.dtype, device=W.device)[:, None, None] for r in rates))
        self.decays = bool((self.rates.eta != 0).any() or (self.rates.eta_p != 0).any())
        self.buffers: dict[str, Tensor] = {}

    def step(self, batch: Batch) -> None:
        """One step; the batch's arrays are (R, d, ·) and shared by the L lanes of a replica."""
        (R, L, k, d), parts = self.W.shape, self.parts
        tall = (R, L * k, -1)  # the lanes' rows under one another: one wide product with what they share
        P, target = self.P.view(R * L, k, k), (self.V if parts.ema else self.W).view(R, L * k, d)
        if isinstance(batch, Pairs):
            X, Y, n = batch.X, batch.Y, batch.X.shape[-1]
            H = torch.bmm(self.W.view(R, L * k, d), X, out=self._buffer("H", R, L * k, n)).view(R * L, k, n)
            E = torch.bmm(target, Y, out=self._buffer("E", R, L * k, n)).view(R * L, k, n)
            E.baddbmm_(P, H, beta=-1 / n, alpha=1 / n)
            D = torch.bmm(P.mT, E, out=self._buffer("D", R * L, k, n))
            gW = torch.bmm(D.view(tall), X.mT, out=self._buffer("gW", R, L * k, d))
            if parts.through:
                gW.baddbmm_(E.view(tall), Y.mT, alpha=-1)
            gP = torch.bmm(E, H.mT, out=self._buffer("gP", R * L, k, k)) if parts.learned else None
        else:
            W = self.W.view(R * L, k, d)
            Q = torch.bmm(P, W, out=self._buffer("Q", R * L, k, d)).view(tall)
            G = torch.bmm(Q, batch.A, out=self._buffer("G", R, L * k, d))
            G.baddbmm_(target, batch.C.mT, alpha=-1)
            gW = torch.bmm(P.mT, G.view(R * L, k, d), out=self._buffer("gW", R * L, k, d)).view(tall)
            if parts.through:
                gW.baddbmm_(Q, batch.C, alpha=-1).baddbmm_(target, batch.B)
            gP = torch.bmm(G.view(R * L, k, d), W.mT, out=self._buffer("gP", R * L, k, k)) if parts.learned else None
        self._update(gW.view_as(self.W), None if gP is None else gP.view_as(self.P))

    def _update(self, gW: Tensor, gP: Tensor | None) -> None:
        h, eta, eta_p, alpha_p, beta = self.rates
        if self.parts.ema:
            self.V.lerp_(self.W, h * beta)
        if self.decays:
            self.W.mul_(1 - h * eta)
        self.W.addcmul_(gW, h, value=-1)
        if gP is not None:
            if self.parts.symmetric:
                gP = (gP + gP.mT) / 2
            if self.decays:
                self.P.mul_(1 - h * eta_p)
            self.P.addcmul_(gP, h * alpha_p, value=-1)

    def _buffer(self, name: str, *shape: int) -> Tensor:
        if name not in self.buffers:
            self.buffers[name] = torch.empty(shape, dtype=self.W.dtype, device=self.W.device)
        return self.buffers[name]
