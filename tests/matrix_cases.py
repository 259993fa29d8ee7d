"""Problems of the matrix flows for their tests, and the plain path that the fast one is held against."""

from __future__ import annotations

import numpy as np
import torch

from dynamics import predictor
from dynamics.solver import RTOL, integrate

GLOBAL = 1e3 * RTOL  # as in test_dynamics: a global error may exceed the local tolerance by the flow's amplification
TIMES = np.linspace(0.0, 4.0, 7)


def distance(a, b) -> float:
    return float(np.abs(a - b).max())


def problem(seed: int, k: int, d: int, commuting: bool) -> dict:
    """W0, P0, A, C: C = A shrunk where they should commute, and non-symmetric (a rotation of the second view) where not."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((d, 2 * d)) / np.sqrt(2 * d)
    X = X @ X.T
    N = 0.3 * np.diag(rng.random(d)) if not commuting else 0.3 * np.eye(d)
    R = np.eye(d) if commuting else np.linalg.qr(rng.standard_normal((d, d)))[0]
    W0, P0 = 0.7 * rng.standard_normal((k, d)) / np.sqrt(d), 0.7 * rng.standard_normal((k, k)) / np.sqrt(k)
    return {"W0": W0, "P0": P0, "A": (X + X.T) / 2 + N, "C": X @ R.T}


def plain(q: dict, t=TIMES, V0=None, alpha_p=1.0, eta=0.0, eta_p=None, beta=1.0) -> tuple[np.ndarray, np.ndarray]:
    """(W, P) (T, ...) by dynamics.solver on dynamics.predictor's fields, which share no line with the kernel."""
    k, d = q["W0"].shape
    cut = (k * d, k * d + k * k)

    def field(_: float, y):
        W, P, V = (X.reshape(1, k, -1) for X in np.split(y, cut, axis=1))
        V = V if V0 is not None else W
        dW, dP = predictor.field(W, P, V, q["A"], q["C"], alpha_p, eta, eta if eta_p is None else eta_p)
        return np.concatenate([X.reshape(1, -1) for X in (dW, dP, predictor.target_field(W, V, beta))], 1)

    V = q["W0"] if V0 is None else V0
    y = integrate(field, np.concatenate([X.ravel() for X in (q["W0"], q["P0"], V)])[None], t).y[:, 0]
    return y[:, : cut[0]].reshape(-1, k, d), y[:, cut[0] : cut[1]].reshape(-1, k, k)


def gradient_flow(loss, W0: np.ndarray, t: np.ndarray) -> np.ndarray:
    """W (T, k, d) by the plain solver down the autograd gradient of loss(W)."""

    def field(_: float, y):
        W = torch.tensor(y.reshape(W0.shape), requires_grad=True)
        return -torch.autograd.grad(loss(W), W)[0].numpy().reshape(1, -1)

    return integrate(field, W0.reshape(1, -1), t).y.reshape(len(t), *W0.shape)
