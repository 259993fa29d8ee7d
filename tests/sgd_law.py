"""The law of drawn minibatch moments: draws from a stream, their mean and covariance, and functionals of the whole law."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from sgd_cases import BASE, VARIANTS

from dynamics.setting import Setting
from dynamics.views import moments
from full_models.batches import Moments, stream
from full_models.device_stream import DEVICE_STEPS, TEAM, device_stream

N = 20_000  # draws of a batch for the tests of its law
LAWS = {  # a batch of 8 >= 2d pairs: the moments are drawn, not computed
    "one direction": BASE.replace(training__batch=8),
    "d <= n < 2d": BASE.replace(training__batch=4),
    "through the target": VARIANTS["through the target"].replace(training__batch=8),
    "commuting": BASE.replace(training__batch=8, views__angle=0.0, views__twist=0.0),
    "clean anchor": BASE.replace(training__batch=8, views__anchor=True, views__noise=(0.0, 0.3, 0.0)),
}


def drawn(setting: Setting, kind: str) -> Moments:
    """N batches' moments from the Setting's stream: "numpy", or that of a device by its name."""
    if kind == "numpy":
        batch = stream(setting, 0).take(N)
    else:
        source = device_stream(setting, range(TEAM), torch.float64, kind)
        takes, part = [], None
        for _ in range(-(-N // (TEAM * DEVICE_STEPS))):
            for part in source.take():  # overwritten by the next block
                takes.append([None if M is None else M.cpu().numpy().copy() for M in part])
        batch = type(part)(*(None if M[0] is None else np.concatenate(M)[:N] for M in zip(*takes, strict=True)))
    if isinstance(batch, Moments):
        return batch
    n = batch.X.shape[-1]
    return Moments(batch.X @ batch.X.mT / n, batch.X @ batch.Y.mT / n, None)


def entries(batch: Moments) -> np.ndarray:
    """(N, ·): all entries of A and C, and of B where it is there."""
    return np.concatenate([M.reshape(len(M), -1) for M in batch if M is not None], axis=1)


def worst(sample: np.ndarray, expected: np.ndarray) -> float:
    """Largest |mean - expected| in standard errors of the mean (n = N), over the columns; exact where nothing varies."""
    error = sample.std(0, ddof=1) / np.sqrt(len(sample))
    off = np.abs(sample.mean(0) - expected)
    return float((off / np.maximum(error, 1e-12)).max())  # 1e-12: rounding where a singular law has no spread


def standard_errors_off(setting: Setting, batch: Moments) -> tuple[float, float]:
    """(mean, covariance) of the drawn moments against E = Σ and Cov(Σ̂_ij, Σ̂_kl) = (Σ_ik Σ_jl + Σ_il Σ_jk)/n."""
    m, n = moments(setting), setting.training.batch
    S = np.block([[m.A, m.C], [m.C.T, m.B]])
    d, s = m.d, entries(batch)
    at = [(i, j) for a, b in ((0, 0), (0, d), (d, d)) for i in range(a, a + d) for j in range(b, b + d)][: s.shape[1]]
    mean = np.array([S[i, j] for i, j in at])
    cov = np.array([[(S[i, k] * S[j, l] + S[i, l] * S[j, k]) / n for k, l in at] for i, j in at])
    products = (s - mean)[:, :, None] * (s - mean)[:, None, :]
    return worst(s, mean), worst(products.reshape(len(s), -1), cov.ravel())


def functionals(batch: Moments) -> dict[str, np.ndarray]:
    """Numbers (N,) that look at the whole law: spectra, and the squared gradient at a fixed P, W that SGD would see."""
    A, C = batch.A, batch.C
    rng = np.random.default_rng(7)
    W, P = rng.standard_normal((2, 3)), rng.standard_normal((2, 2))
    G = P @ W @ A - W @ C.mT
    return {
        "least eigenvalue of A": np.linalg.eigvalsh(A)[:, 0],
        "tr A": np.trace(A, axis1=1, axis2=2),
        "det C": np.linalg.det(C),
        "norm of the commutator": np.linalg.norm(A @ C - C @ A, axis=(1, 2)),
        "squared gradient": np.square(P.T @ G).sum((1, 2)),
    }


def least_p_of(batch: Moments, other: Moments) -> float:
    """Of the two-sample Kolmogorov-Smirnov tests of the functionals, but those that fewer pairs than d make 0 to rounding."""
    direct = functionals(other)
    return min(
        float(stats.ks_2samp(direct[name], value).pvalue)
        for name, value in functionals(batch).items()
        if direct[name].std() > 1e-12
    )


def least_p_value(setting: Setting, batch: Moments) -> float:
    """Against moments computed from N batches of pairs that numpy draws by its own means."""
    m, n = moments(setting), setting.training.batch
    joint = np.block([[m.A, m.C], [m.C.T, m.B]])
    pairs = np.random.default_rng(11).multivariate_normal(np.zeros(2 * m.d), joint, (N, n), method="svd")
    x, y = pairs[..., : m.d], pairs[..., m.d :]
    return least_p_of(batch, Moments(x.mT @ x / n, x.mT @ y / n, None))


FOUR_SE = 6.3e-5  # two-sided probability of 4 standard errors
