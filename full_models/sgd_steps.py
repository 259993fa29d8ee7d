"""SGD steps of many linear networks on given batches, with the gradient of the loss written by hand.

The loss of one batch of n pairs (columns x_i, x_i⁺) is J = (1/2n) Σ_i |e_i|², e = P W x - V x⁺. With X, Y the columns,
E = P W X - V Y and dJ = (1/n) tr Eᵀ dE, so that

    ∂J/∂W = Pᵀ E Xᵀ/n     ∂J/∂P = E (W X)ᵀ/n     ∂J/∂V = -E Yᵀ/n  (added to ∂J/∂W where V is W and not detached)

and, as E Xᵀ/n = P W A - V Cᵀ and E Yᵀ/n = P W C - V B with A = X Xᵀ/n, C = X Yᵀ/n, B = Y Yᵀ/n, from the moments alone

    ∂J/∂W = Pᵀ G          ∂J/∂P = G Wᵀ           G = P W A - V Cᵀ

W (k, d), P (k, k), V (k, d). Six products of a step with pairs, five with moments; exact, equal to autograd to rounding.
A step is `full_models.linear`'s:  W ← W - h (∂J/∂W + eta W),  P ← P - h (alpha_p ∂J/∂P + eta_p P),  V ← V + h beta
(W_old - V), or V = W. Two forms of it: `compiled` runs a whole block for one network after another, so that its weights stay
in the caches, and sums inside the products (`products.gemm`); `Batched` advances all networks by one step in tensors, on any
device.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from dynamics.machine_code import kept_jit
from dynamics.run import Array
from dynamics.setting import Setting
from full_models.batches import Batch, Moments, Pairs
from full_models.products import gemm
from full_models.tile import aligned, empty
from full_models.vectors import VECTOR_BYTES


class Rates(NamedTuple):
    """Each (L,): a number for each of the networks (lanes)."""

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
        return Parts(learned, learned and o.predictor == "symmetric", o.target == "ema", through)


class Weights(NamedTuple):
    """W (…, k, d), P (…, k, k), V (…, k, d): arrays or tensors, changed in place. V is not used without EMA."""

    W: Any
    P: Any
    V: Any


def compiled(parts: Parts, rates: Rates, weights: Weights, batch: Batch) -> None:
    """Advance the lanes (L, …) in place by the S steps of one replica's batch, all on the same pairs.

    Rates, weights and batch of one floating type, weights contiguous.
    """
    arrays = [_for_vectors(batch[0] if M is None else M) for M in batch]  # without a B none is read
    steps = _steps_on_pairs if isinstance(batch, Pairs) else _steps_on_moments
    steps(parts, rates, *weights, *arrays)


def aligned_copy(M: Array) -> Array:
    """A contiguous one, which begins at a whole vector."""
    out = aligned(np.empty, M.shape, M.dtype)
    out[...] = M
    return out


def _for_vectors(M: Array) -> Array:
    return M if M.flags.c_contiguous and M.ctypes.data % VECTOR_BYTES == 0 else aligned_copy(M)


@kept_jit(nogil=True)
def _steps_on_pairs(parts: Parts, rates: Rates, W: Array, P: Array, V: Array, X: Array, Y: Array) -> None:
    """E has h/n in it and D = -Pᵀ E, so that P and W take their gradients inside the products."""
    (L, k, _), (S, _, n) = W.shape, X.shape
    H, E, D, gP = empty((k, n), W), empty((k, n), W), empty((k, n), W), empty((k, k), W)
    Xt, Yt = _transposed(X), _transposed(Y) if parts.through else Y
    for l in range(L):
        h, eta, eta_p, alpha_p, beta = rates.h[l], rates.eta[l], rates.eta_p[l], rates.alpha_p[l], rates.beta[l]
        for s in range(S):
            gemm(1, W[l], X[s], 0, H)
            gemm(1, V[l] if parts.ema else W[l], Y[s], 0, E)
            gemm(h / n, P[l], H, -h / n, E)
            gemm(-1, P[l].T, E, 0, D)
            _move_P(parts, 1 - h * eta_p, alpha_p, P[l], E, H, gP)
            if parts.ema:
                _average(h * beta, W[l], V[l])
            gemm(1, D, Xt[s], 1 - h * eta, W[l])
            if parts.through:
                gemm(1, E, Yt[s], 1, W[l])


@kept_jit(nogil=True)
def _steps_on_moments(parts: Parts, rates: Rates, W: Array, P: Array, V: Array, A: Array, C: Array, B: Array) -> None:
    """∂J/∂P asks for the old W and ∂J/∂W for the old P: here D = ∂J/∂W is stored."""
    L, k, d = W.shape
    Q, G, D, gP = empty((k, d), W), empty((k, d), W), empty((k, d), W), empty((k, k), W)
    Ct = _transposed(C)
    for l in range(L):
        h, eta, eta_p, alpha_p, beta = rates.h[l], rates.eta[l], rates.eta_p[l], rates.alpha_p[l], rates.beta[l]
        target = V[l] if parts.ema else W[l]
        for s in range(len(A)):
            gemm(1, P[l], W[l], 0, Q)
            gemm(1, Q, A[s], 0, G)
            gemm(-1, target, Ct[s], 1, G)
            gemm(1, P[l].T, G, 0, D)
            _move_P(parts, 1 - h * eta_p, h * alpha_p, P[l], G, W[l], gP)
            if parts.through:
                gemm(-1, Q, C[s], 1, D)
                gemm(1, target, B[s], 1, D)
            if parts.ema:
                _average(h * beta, W[l], V[l])
            _descend(1 - h * eta, h, W[l], D)


@numba.njit(nogil=True)
def _transposed(M: Array) -> Array:
    """(S, a, b) as (S, b, a), its rows contiguous: for all lanes at once what `gemm` would do for each."""
    S, a, b = M.shape
    out = empty((S, b, a), M)
    for s in range(S):
        for j in range(b):
            for i in range(a):
                out[s, j, i] = M[s, i, j]
    return out


@numba.njit(nogil=True)
def _move_P(parts: Parts, keep: float, alpha: float, P: Array, E: Array, H: Array, gP: Array) -> None:
    """P <- keep P - alpha E Hᵀ, the gradient symmetrised where P is; nothing where P does not learn."""
    if parts.symmetric:
        gemm(alpha / 2, E, H.T, 0, gP)
        for i in range(len(P)):
            for j in range(len(P)):
                P[i, j] = keep * P[i, j] - (gP[i, j] + gP[j, i])
    elif parts.learned:
        gemm(-alpha, E, H.T, keep, P)


@numba.njit(nogil=True)
def _average(pull: float, W: Array, V: Array) -> None:
    """V <- V + pull (W - V). Loops, here and below: an array expression would make temporaries."""
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            V[i, j] += pull * (W[i, j] - V[i, j])


@numba.njit(nogil=True)
def _descend(keep: float, h: float, W: Array, D: Array) -> None:
    """W <- keep W - h D."""
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            W[i, j] = keep * W[i, j] - h * D[i, j]


class Batched:
    """All lanes of all replicas by one step at a time: weights (R, L, …), tensors on one device; buffers are kept."""

    def __init__(self, parts: Parts, rates: Rates, weights: Weights) -> None:
        self.parts, (self.W, self.P, self.V) = parts, weights
        W: Tensor = self.W
        self.rates = Rates(*(torch.as_tensor(r, dtype=W.dtype, device=W.device)[:, None, None] for r in rates))
        self.decays = bool((self.rates.eta != 0).any() or (self.rates.eta_p != 0).any())
        self.scales_P = bool((self.rates.alpha_p != 1).any())
        self.buffers: dict[str, Tensor] = {}

    def step(self, batch: Batch) -> None:
        """One step; the batch's arrays are (R, d, ·) and shared by the L lanes of a replica."""
        R, L, k, d = self.W.shape
        # the lanes' rows under one another: one wide product with what they share
        W, target = (M.view(R, L * k, d) for M in (self.W, self.V if self.parts.ema else self.W))
        if isinstance(batch, Pairs):
            self._on_pairs(batch, W, target, self.P.view(R * L, k, k))
        else:
            self._on_moments(batch, W, target, self.P.view(R * L, k, k))

    def _on_pairs(self, batch: Pairs, W: Tensor, target: Tensor, P: Tensor) -> None:
        """E has h/n in it, so that W and P take their gradients inside the products: less goes through memory."""
        (X, Y), (R, L, k, _), n = batch, self.W.shape, batch.X.shape[-1]
        wide, each = (R, L * k, n), (R * L, k, n)
        H = torch.bmm(W, X, out=self._buffer("H", *wide)).view(each)
        E = torch.bmm(target, Y, out=self._buffer("E", *wide)).view(each)
        E.baddbmm_(P, H, beta=-1 / n, alpha=1 / n).view(R, L, k, n).mul_(self.rates.h)
        D = torch.bmm(P.mT, E, out=self._buffer("D", *each))
        self._average_and_decay()
        W.baddbmm_(D.view(wide), X.mT, alpha=-1)
        if self.parts.through:
            W.baddbmm_(E.view(wide), Y.mT)
        if self.parts.symmetric:
            self._descend_P(torch.bmm(E, H.mT, out=self._buffer("gP", *P.shape)), 1)
        elif self.parts.learned:
            if self.scales_P:
                E.view(R, L, k, n).mul_(self.rates.alpha_p)
            P.baddbmm_(E, H.mT, alpha=-1)

    def _on_moments(self, batch: Moments, W: Tensor, target: Tensor, P: Tensor) -> None:
        A, C, B = batch
        each = (len(P), *self.W.shape[-2:])
        Q = torch.bmm(P, W.view(each), out=self._buffer("Q", *each)).view_as(W)
        G = torch.bmm(Q, A, out=self._buffer("G", *W.shape)).baddbmm_(target, C.mT, alpha=-1).view(each)
        gW = torch.bmm(P.mT, G, out=self._buffer("gW", *each)).view_as(W)
        if self.parts.through:
            gW.baddbmm_(Q, C, alpha=-1).baddbmm_(target, B)
        gP = torch.bmm(G, W.view(each).mT, out=self._buffer("gP", *P.shape)) if self.parts.learned else None
        self._average_and_decay()
        self.W.addcmul_(gW.view_as(self.W), self.rates.h, value=-1)
        if gP is not None:
            self._descend_P(gP, self.rates.h)

    def _average_and_decay(self) -> None:
        h, eta, eta_p, _, beta = self.rates
        if self.parts.ema:
            self.V.lerp_(self.W, h * beta)
        if self.decays:
            self.W.mul_(1 - h * eta)
            if self.parts.learned:
                self.P.mul_(1 - h * eta_p)

    def _descend_P(self, gP: Tensor, h: Tensor | float) -> None:
        gP = (gP + gP.mT) / 2 if self.parts.symmetric else gP
        self.P.addcmul_(gP.view_as(self.P), h * self.rates.alpha_p, value=-1)

    def _buffer(self, name: str, *shape: int) -> Tensor:
        if name not in self.buffers:
            self.buffers[name] = torch.empty(shape, dtype=self.W.dtype, device=self.W.device)
        return self.buffers[name]
