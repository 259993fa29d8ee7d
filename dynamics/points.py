"""Finite laws, by enumeration: unit embeddings with InfoNCE over K drawn negatives, and discrete channels. Exact.

A Run of these has one time point; nothing moves.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, combinations
from math import comb

import numpy as np
from scipy.special import gammaln, logsumexp

from dynamics.run import Array, Run
from dynamics.setting import ChannelViews, PointViews, Setting, SettingError

MAX_COUNTS = 200_000  # ways to draw the negatives; beyond it enumeration no longer takes milliseconds
MAX_TERMS = 200_000_000  # ways x points x anchors, an exponential each: seconds
ENCODERS = 16  # functions h with Z = h(S) that a channel Run holds side by side


def enumerate_points(setting: Setting) -> Run:
    """The Run (R = 1, T = 1) of PointViews (obs z, z_plus, covariance, loss) or ChannelViews (obs I_ZX, I_ZS, ...)."""
    if isinstance(setting.views, PointViews):
        obs = _points(setting, setting.views)
    elif isinstance(setting.views, ChannelViews):
        obs = _channel(setting, setting.views)
    else:
        raise SettingError(f"objective.loss {setting.objective.loss!r} needs views of kind points or channel")
    return Run(setting, "exact", np.zeros(1), {k: np.asarray(v, float)[None, None] for k, v in obs.items()})


def unit_points(setting: Setting, views: PointViews) -> tuple[Array, Array]:
    """z, z_plus (n, d): rows of norm 1, from the Setting's seed. Raises SettingError where they overflow."""
    rng = np.random.default_rng([setting.seed, 5])
    c, g, h = rng.standard_normal(views.d), *rng.standard_normal((2, views.n, views.d))
    z = _normalise(_normalise(c) + views.scatter * g)
    return z, _normalise(z + views.spread * h)


def _normalise(z: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        out = z / np.linalg.norm(z, axis=-1, keepdims=True)
        unit = np.isclose(np.linalg.norm(out, axis=-1), 1.0)
    if not unit.all():
        raise SettingError(
            "views.scatter or views.spread gives vectors whose length overflows or is 0: give another size"
        )
    return out


def _points(setting: Setting, views: PointViews) -> dict[str, Array]:
    z, z_plus = unit_points(setting, views)
    centred = z - z.mean(0)
    obs = {"z": z, "z_plus": z_plus, "covariance": centred.T @ centred / len(z)}
    o = setting.objective
    if o.loss == "info_nce":
        obs["loss"] = np.array(info_nce_expectation(z, z_plus, o.temperature, o.negatives))
    return obs


def info_nce_expectation(z: Array, z_plus: Array, temperature: float, K: int) -> float:
    """E[-log(e^{z·y/τ} / (e^{z·y/τ} + Σ_{i=1..K} e^{x_i·y/τ}))], (z, y) a uniform row pair, x_i iid uniform rows of z.

    The K negatives enter only through how often each of the n points is drawn: a multinomial sum, hence exact.
    Source: Wang & Isola 2020 (arXiv:2005.10242), their L(f; τ, M = K).
    """
    counts, log_probability = _multinomial(len(z), K)
    with np.errstate(over="ignore", invalid="ignore"):
        logits = z @ z_plus.T / temperature  # (negative i, anchor y)
    if not np.isfinite(logits).all():
        raise SettingError(f"objective.temperature is {temperature}: z·z⁺ divided by it overflows; give a larger one")
    with np.errstate(divide="ignore"):
        log_counts = np.log(counts)
    loss = np.zeros(len(counts))
    for anchor, column in enumerate(logits.T):  # one by one: all of them together would be n times the counts
        loss += np.logaddexp(column[anchor], np.asarray(logsumexp(log_counts + column, axis=1))) - column[anchor]
    return float(np.exp(log_probability) @ loss) / len(z)


@lru_cache(maxsize=64)
def _multinomial(n: int, K: int) -> tuple[Array, Array]:
    """All counts (ways, n) summing to K and their log probabilities under uniform draws. Raises SettingError if too many."""
    ways = float(
        np.exp(min(gammaln(K + n) - gammaln(n) - gammaln(K + 1), 700.0))
    )  # 1e304 or more is too many in any case
    if ways > MAX_COUNTS or ways * n**2 > MAX_TERMS:
        raise SettingError(f"{K} negatives among {n} points have {ways:.2g} counts: take fewer points or negatives")
    counts = _compositions(n, K)
    log_p = gammaln(K + 1) - gammaln(counts + 1).sum(1) - K * np.log(n)
    return counts, log_p


def _compositions(n: int, K: int) -> Array:
    """All (n,) of whole numbers >= 0 that sum to K, as rows in rising order: the gaps between n - 1 bars in K + n - 1 places."""
    places = K + n - 1
    bars = np.fromiter(chain.from_iterable(combinations(range(places), n - 1)), int).reshape(comb(places, n - 1), n - 1)
    return np.diff(bars, axis=1, prepend=-1, append=places) - 1.0


def _channel(setting: Setting, views: ChannelViews) -> dict[str, Array]:
    """I(Z;X), I(Z;S), H(Z) (ENCODERS,) in nats for Z = h(S), h random; H of the constant map in the entropy meant."""
    rng = np.random.default_rng([setting.seed, 6])
    m, n = views.states, views.nuisances
    X = np.arange(m * n).reshape(m, n) if views.injective else rng.integers(0, max(m, n), (m, n))
    h = rng.integers(0, m, (ENCODERS, m))
    I_ZX, I_ZS, H_Z = np.empty((3, ENCODERS))
    for e in range(ENCODERS):
        ZX, ZS = np.zeros((m, X.max() + 1)), np.zeros((m, m))
        np.add.at(ZX, (np.repeat(h[e], n), X.ravel()), 1 / (m * n))
        np.add.at(ZS, (h[e], np.arange(m)), 1 / m)
        I_ZX[e], I_ZS[e], H_Z[e] = mutual_information(ZX), mutual_information(ZS), entropy(ZS.sum(1))
    return {"I_ZX": I_ZX, "I_ZS": I_ZS, "H_Z": H_Z, "H_constant": _constant_entropy(setting)}


def _constant_entropy(setting: Setting) -> Array:
    """Entropy along Z = c + width·U, U uniform on [0, 1]: of the constant itself if discrete, log width if differential."""
    widths = 10.0 ** -np.arange(1, ENCODERS + 1)
    return np.zeros(ENCODERS) if setting.objective.entropy == "discrete" else np.log(widths)


def entropy(p: Array) -> float:
    """-Σ p log p in nats, 0 log 0 = 0."""
    q = p[p > 0]
    return float(-(q * np.log(q)).sum())


def mutual_information(joint: Array) -> float:
    """H(row) + H(column) - H(joint) in nats of a joint probability table."""
    return entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint.ravel())
