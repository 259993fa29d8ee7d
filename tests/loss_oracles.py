"""Each loss written out a second time, in loops of extended-precision numpy and without torch.

The extra arguments turn a definition into a wrong one (or into the other convention): the cases use both.
"""

from __future__ import annotations

import numpy as np

LD = np.longdouble


def fixed(seed: int, *shape: int) -> np.ndarray:
    """The extra array (matrix, queue, directions) of a case: the same for its loss and its oracle."""
    return np.random.default_rng(seed).normal(size=shape)


def mask_of(N: int) -> np.ndarray:
    return (np.arange(N) % 3 != 1).astype(float)


def unit(z, floor=0.0):
    return np.array([row / max(np.sqrt(np.sum(row * row)), LD(floor)) for row in z])


def info_nce(z, w, tau=0.2, critic="cosine", sign=1, M=None):
    if critic == "cosine":
        z, w = unit(z), unit(w)
    M = np.eye(z.shape[1]) if M is None else M
    N = len(z)
    total = LD(0)
    for i in range(N):
        s = [sign * (z[i] @ M @ w[j]) / LD(tau) for j in range(N)]
        total += s[i] - max(s) - np.log(sum(np.exp(x - max(s)) for x in s))
    return -total / N


def nce(z, w, tau=1.5, b=None, critic="dot", weight=1.0):
    if critic == "cosine":
        z, w = unit(z), unit(w)
    N = len(z)
    b = -np.log(LD(N - 1)) if b is None else b
    total = LD(0)
    for i in range(N):
        for j in range(N):
            x = z[i] @ w[j] / LD(tau) + b
            x = -x if i == j else x
            term = max(x, 0) + np.log1p(np.exp(-abs(x)))  # -log σ(-x)
            total += term if i == j else weight * term
    return total / N


def nt_xent(z, w, tau=0.5, factor=1, same_view=True, partner=True):
    u = np.concatenate([unit(z), unit(w)])
    n, N = len(u), len(z)
    total = LD(0)
    for i in range(n):
        pos = (i + N) % n
        ks = [k for k in range(n) if k != i and (partner or k != pos) and (same_view or (k < N) != (i < N))]
        s = [u[i] @ u[k] / LD(tau) for k in ks]
        total += max(s) + np.log(sum(np.exp(x - max(s)) for x in s)) - u[i] @ u[pos] / LD(tau)
    return factor * total / n


def queue_info_nce(z, w, tau=0.2, own=0, K=5):
    q, k = unit(z), unit(w)
    queue = unit(fixed(3, K, z.shape[1]).astype(LD))
    total = LD(0)
    for i in range(len(q)):
        s = [q[i] @ k[i] / LD(tau)] * (1 + own) + [q[i] @ x / LD(tau) for x in queue]
        total += max(s) + np.log(sum(np.exp(x - max(s)) for x in s)) - s[0]
    return total / len(q)


def spectral(z, w, mu=None, count=1):
    N = len(z)
    if mu is not None:
        z, w = (
            [row * min(1, np.sqrt(LD(mu)) / np.sqrt(row @ row)) if row @ row > 0 else row for row in v] for v in (z, w)
        )
    pull = sum(z[i] @ w[i] for i in range(N)) / N
    push = sum((z[i] @ w[j]) ** 2 for i in range(N) for j in range(N) if i != j) / LD(N * (N - count))
    return (-2 * pull + push) / (1 if mu is None else LD(mu))


def alignment(z, w, alpha=2):
    return sum(np.sqrt(np.sum((a - b) ** 2)) ** alpha for a, b in zip(unit(z), unit(w), strict=True)) / len(z)


def uniformity(z, w, t=2.0, diagonal=False):
    def one(v):
        v, N = unit(v), len(v)
        pairs = [(i, j) for i in range(N) for j in range(N) if diagonal or i != j]
        return np.log(sum(np.exp(-LD(t) * np.sum((v[i] - v[j]) ** 2)) for i, j in pairs) / len(pairs))

    return (one(z) + one(w)) / 2


def moments(v, ddof):
    v = v - v[0]
    v = v - sum(v) / len(v)
    return v, np.array([[sum(v[:, i] * v[:, j]) for j in range(v.shape[1])] for i in range(v.shape[1])]) / (
        len(v) - ddof
    )


def vicreg(z, w, lam=3.0, mu=2.0, nu=0.7, gamma=1.0, eps=1e-4, per_dim=False, halve=False, ddof=1, outside=False):
    N, d = z.shape
    s = sum(np.sum((z[n] - w[n]) ** 2) for n in range(N)) / N / (d if per_dim else 1)
    v = c = LD(0)
    for view in (z, w):
        C = moments(view, ddof)[1]
        for i in range(d):
            deviation = np.sqrt(C[i, i]) + LD(eps) if outside else np.sqrt(C[i, i] + LD(eps))
            v += max(LD(0), LD(gamma) - deviation) / d
            c += sum(C[i, j] ** 2 for j in range(d) if j != i) / d
    return LD(lam) * s + LD(mu) * v / (2 if halve else 1) + LD(nu) * c


def barlow(z, w, lam=0.3, eps=None, ddof=0, centred=True):
    N, d = z.shape
    if centred:
        z, w = moments(z, 0)[0], moments(w, 0)[0]
    total = LD(0)
    for i in range(d):
        for j in range(d):
            if eps is None:
                c = z[:, i] @ w[:, j] / np.sqrt((z[:, i] @ z[:, i]) * (w[:, j] @ w[:, j]))
            else:
                vi, vj = z[:, i] @ z[:, i] / (N - ddof) + LD(eps), w[:, j] @ w[:, j] / (N - ddof) + LD(eps)
                c = z[:, i] @ w[:, j] / N / np.sqrt(vi * vj)
            total += (1 - c) ** 2 if i == j else LD(lam) * c * c
    return total


def series_log(Q, order):
    X, power, total = Q - np.eye(len(Q)), np.eye(len(Q), dtype=LD), 0
    for k in range(1, order + 1):
        power = power @ X
        total = total + power * LD((-1) ** (k + 1)) / k
    return total


def determinant(Q):
    Q, det = np.array(Q, dtype=LD), LD(1)
    for k in range(len(Q)):
        p = k + int(np.argmax(abs(Q[k:, k])))
        if p != k:
            Q[[k, p]], det = Q[[p, k]], -det
        det = det * Q[k, k]
        for r in range(k + 1, len(Q)):
            Q[r] = Q[r] - Q[k] * (Q[r, k] / Q[k, k])
    return det


def matrix_ssl(z, w, gamma=0.6, lam=0.4, mu=0.5, order=None, with_trace=True):
    N, d = z.shape
    u, v = (x - sum(x) / N for x in (unit(z), unit(w)))
    cross, P, Q = (a.T @ b / N + LD(mu) * np.eye(d) for a, b in ((u, v), (u, u), (v, v)))
    if order is not None:
        return -LD(lam) * np.trace(series_log(cross, order)) - LD(gamma) * np.trace(P @ series_log(Q, order))
    value = -LD(lam) * np.log(determinant(cross)) - LD(gamma) * np.trace(P @ series_log(Q, 70))  # 0.5^70/70: exact
    return value + (np.trace(cross) + LD(gamma) * np.trace(Q) if with_trace else 0)


def sigreg(z, w, low=-5.0, high=5.0, fold=1, times_n=True, knots=17):
    a = fixed(4, z.shape[1], 6).astype(LD)
    a = a / np.sqrt(np.sum(a * a, 0))
    t = LD(low) + (LD(high) - LD(low)) * np.arange(knots) / (knots - 1)
    total = LD(0)
    for view in (z, w):
        N = len(view)
        for k in range(6):
            y = view @ a[:, k]
            f = [
                abs(sum(np.exp(1j * (x * s))) / N - np.exp(-x * x / 2)) ** 2 * np.exp(-x * x / 2)
                for x, s in ((x, y) for x in t)
            ]
            step = t[1] - t[0]
            total += fold * step * (sum(f) - (f[0] + f[-1]) / 2) * (N if times_n else 1) / 12
    return total


def lejepa(z, w, lam=0.3, per_dim=True, **how):
    inv = np.sum((z - w) ** 2) / 4 / len(z) / (z.shape[1] if per_dim else 1)
    return (1 - LD(lam)) * inv + LD(lam) * sigreg(z, w, **how)


def mean_square(z, w, divide=1):
    return np.sum((z - w) ** 2) / len(z) / divide


def cosine(z, w, factor=-1.0, shift=0.0, floor=0.0):
    return shift + factor * np.sum(unit(z, floor) * unit(w, floor)) / len(z)


def layer_norm(w, ddof=0, eps=1e-5):
    m = w - (np.sum(w, 1) / w.shape[1])[:, None]
    return m / np.sqrt(np.sum(m * m, 1) / (w.shape[1] - ddof) + LD(eps))[:, None]


def smooth_l1(z, w, beta=0.8, norm=True):
    r = np.abs(z - (layer_norm(w) if norm else w))
    return np.mean(np.where(r < beta, r * r / (2 * LD(beta)), r - LD(beta) / 2))


def power_loss(z, w, p=1.5, reg=0.5, divide=True, ddof=1):
    hinge = sum(max(LD(0), 1 - np.sqrt(moments(z, ddof)[1][j, j] + LD(1e-4))) for j in range(z.shape[1])) / z.shape[1]
    return np.mean(np.abs(z - layer_norm(w)) ** LD(p)) / (LD(p) if divide else 1) + LD(reg) * hinge


def mae(z, w, norm=True, ddof=1, every=False):
    m = np.ones(len(z)) if every else mask_of(len(z))
    x = layer_norm(w, ddof, 1e-6) if norm else w
    return sum(m[n] * np.mean((z[n] - x[n]) ** 2) for n in range(len(z))) / sum(m)
