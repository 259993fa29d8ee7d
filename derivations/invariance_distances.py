"""The note's section 3.1: what the flow of the invariance loss does to distances, between inputs and within a pair."""

from __future__ import annotations

from functools import partial

import numpy as np

from derivations.claim import Claim, Picture
from derivations.common import COMMUTE, EXCHANGEABLE, NO_DECAY, NOTE, SPECTRA, norm
from derivations.invariance_common import ANY_START, CLEAN, SHORT
from derivations.invariance_proofs import COMMUTING, PAIRS, VARIANCE
from dynamics.observe import embedding_covariance
from dynamics.run import Array, Run
from dynamics.views import moments


def spread_rate(run: Run, sign: float = 1.0) -> Array:
    """d/dt tr(W A Wᵀ) = 2 tr(dW A Wᵀ), as a share of its possible size: positive where embeddings move apart."""
    A_ = moments(run.setting).A
    rate = 2 * np.sum((run["dW"] @ A_) * run["W"], axis=(-2, -1))
    size = np.trace(embedding_covariance(run["W"], A_), axis1=-2, axis2=-1).max(1, keepdims=True)
    return sign * rate / np.where(size > 0, size, 1.0)


def spread_picture(run: Run) -> Picture:
    """tr(W A Wᵀ) = E‖z‖² over time."""
    cov = embedding_covariance(run["W"], moments(run.setting).A)
    return Picture("total variance E‖z‖²\n(claimed never to rise)", np.trace(cov, axis1=-2, axis2=-1)[..., None])


def pair_rate(run: Run, factor: float = 2.0) -> Array:
    """d/dt E‖z - z⁺‖² + factor ‖WS‖² (R, T, 1) from the measured velocity, relative to the largest ‖W‖²‖S‖²."""
    W_, S_ = run["W"], moments(run.setting).S
    rate = 2 * np.sum((run["dW"] @ S_) * W_, axis=(-2, -1)) + factor * norm(W_ @ S_) ** 2
    size = (norm(W_) ** 2).max(1, keepdims=True) * norm(S_) ** 2
    return (rate / np.where(size > 0, size, 1.0))[..., None]


def pair_picture(run: Run) -> Picture:
    """tr(W S Wᵀ) = E‖z - z⁺‖² over time."""
    distance = np.trace(embedding_covariance(run["W"], moments(run.setting).S), axis1=-2, axis2=-1)
    return Picture("pair distance E‖z - z⁺‖²", distance[..., None])


CLAIMS = (
    Claim(
        "invariance-no-repulsion",
        "3.1",
        "Under the invariance loss no gradient pushes representations apart",
        r"\tfrac{d}{dt}\mathrm{E}\|z\|^2 \le 0",
        NOTE + "3.1",
        base=SHORT,
        vary={**SPECTRA, **CLEAN, "network.k": (1, 2), "seed": tuple(range(40))},
        states=(EXCHANGEABLE,),
        needs=(COMMUTE,),
        rungs=("exact", "flow", "descent"),
        residual=spread_rate,
        bound=True,
        mutants={"sign of the flow flipped": lambda run: spread_rate(run, -1.0)},
        proof=(VARIANCE, COMMUTING),
        scope="trace identity in all dimensions; sign on commuting modes",
        picture=spread_picture,
        corrected_by="invariance-pairs-approach",
        explains="d/dt E‖z‖² = -tr(W(SA+AS)Wᵀ), and SA + AS need not be positive semidefinite when A and S do not commute: "
        "shrinking one direction can rotate W towards high variance, so embeddings of different inputs first move apart.",
    ),
    Claim(
        "invariance-pairs-approach",
        "3.1",
        "Under the invariance loss the mean distance of the two views of one input never rises",
        r"\tfrac{d}{dt}\mathrm E\|z-z^+\|^2 = -2\|WS\|_F^2 \le 0",
        "corrects invariance-no-repulsion",
        base=SHORT,
        vary=ANY_START,
        states=(NO_DECAY,),
        rungs=("exact", "flow", "descent"),
        residual=pair_rate,
        mutants={"half the rate": partial(pair_rate, factor=1.0), "they move apart": partial(pair_rate, factor=-2.0)},
        proof=(PAIRS,),
        scope="all dimensions, any views (clean anchor, non-symmetric C)",
        picture=pair_picture,
        explains="What the loss measures, the mean distance within pairs, falls along every trajectory; of a single pair it may rise. "
        "The distance between different inputs falls with it where A and S commute; elsewhere it may rise for a while.",
    ),
)
