"""The weights a Setting starts from: W (k, d), P (k, k), V (k, d), float64, from the Setting's seed. Exact."""

from __future__ import annotations

import numpy as np

from dynamics.machine import check_memory
from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.views import Moments, moments


def start(setting: Setting) -> tuple[Array, Array, Array]:
    """(W, P, V) at t = 0; see `Network` for what each `start` means. V = tau0 W for an EMA target, else V = W.

    Raises MemoryError where they could never fit.
    """
    m, k = moments(setting), setting.network.k
    check_memory(8 * (2 * k * m.d + 2 * k**2), f"a start of k = {k:,} outputs and d = {m.d:,} inputs")
    W, P = _encoder_and_predictor(setting, m)
    if setting.objective.predictor == "none":
        P = np.eye(len(P))
    V = setting.network.tau0 * W if setting.objective.target == "ema" else W.copy()
    return W, P, V


def check_run(setting: Setting, replicas: int = 1) -> None:
    """Raises MemoryError where a Run, W, P, V and their velocities at every time, could never fit."""
    d, k, times = moments(setting).d, setting.network.k, setting.training.points
    what = f"a Run of {times:,} times, {replicas:,} replicas, k = {k:,} outputs and d = {d:,} inputs"
    check_memory(8 * replicas * times * (4 * k * d + 2 * k**2), what)


def shared_basis(m: Moments) -> Array:
    """Eigenvectors (d, d), as columns by falling signal, of A and C together. Requires them to commute.

    Taken from C + A/√2: a generic combination, so that a multiplicity in one is resolved by the other.
    """
    values, vectors = np.linalg.eigh((m.C + m.C.T) / 2 + m.A / np.sqrt(2))
    order = np.argsort(-values)
    return vectors[:, order]


def _encoder_and_predictor(setting: Setting, m: Moments) -> tuple[Array, Array]:
    net, alpha_p = setting.network, setting.training.alpha_p
    rng = np.random.default_rng([setting.seed, 2])
    k, d = net.k, m.d
    W = net.w0 * rng.standard_normal((k, d)) / np.sqrt(d)
    P = net.p0 * rng.standard_normal((k, k)) / np.sqrt(k)
    if net.start == "zero":
        return np.zeros((k, d)), P
    if net.start == "symmetric":
        return W, (P + P.T) / 2
    if net.start == "balanced":  # PᵀP = alpha_p W Wᵀ with P the positive root
        values, vectors = np.linalg.eigh(W @ W.T)
        return W, (vectors * np.sqrt(alpha_p * np.clip(values, 0, None))) @ vectors.T
    if net.start in ("aligned", "parabola"):
        return _aligned(setting, m)
    return W, P


def _aligned(setting: Setting, m: Moments) -> tuple[Array, Array]:
    """W = diag(w) Vᵀ on the leading shared eigenvectors, P = diag(p); modes differ by up to 30 %, so none is special."""
    net = setting.network
    r = min(net.k, m.d)
    factor = 1 + 0.3 * np.random.default_rng([setting.seed, 3]).random(r)
    W = np.zeros((net.k, m.d))
    W[:r] = (net.w0 * factor)[:, None] * shared_basis(m)[:, :r].T
    p = np.full(net.k, net.p0)
    if net.start == "parabola":
        p[:r] = np.sqrt(setting.training.alpha_p) * net.w0 * factor
        p[r:] = 0.0  # a mode with w = 0 lies on the parabola only at p = 0
    return W, np.diag(p)
