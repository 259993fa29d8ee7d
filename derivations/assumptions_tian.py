"""What Tian, Chen and Ganguli (2021) assume, as data, and the few matrix helpers that their claims share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from derivations.assumption import Assumption, Domain, Spectrum
from derivations.claim import Picture
from derivations.common import EXCHANGEABLE, share
from dynamics.run import Array, Run
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.views import moments

SOURCE = "Tian, Chen, Ganguli 2021, arXiv:2102.06810"
SIGMA2 = 0.25  # the base Settings' variance of a view's noise: a = 1 + sigma² = 1.25

STOP_GRADIENT = Assumption("stop-gradient", "the target carries no gradient", only={"objective.stop_gradient": (True,)})
ISOTROPIC = Assumption(
    "isotropic data (their Assumption 2)",
    "X = I and X' = sigma² I, the same for both views",
    only={
        "views.signal": Spectrum(1.0, 1.0, equal=True),
        "views.noise": Spectrum(0.0, 4.0, equal=True),
        **EXCHANGEABLE.only,
    },
)
SYMMETRISED = Assumption(
    "symmetrised predictor flow (their Assumption 3)",
    "P starts symmetric and only the symmetric part of its velocity is used",
    only={"objective.predictor": ("symmetric",)},
)
ALIGNED = Assumption(
    "aligned start", "P and F share their eigenvectors at t = 0", only={"network.start": ("aligned", "parabola")}
)
FREE = Assumption("free predictor", "P follows its own gradient", only={"objective.predictor": ("linear",)})
PARABOLA = Assumption(
    "start on the parabola", "s_j(0) = p_j(0)² / alpha_p on every mode", only={"network.start": ("parabola",)}
)
CONTRACTING = Assumption(
    "augmentation or decay in every direction",
    "the smallest eigenvalue of X' + eta I is positive (at least 0.2 here, so that t_end shows the limit)",
    where=lambda s: smallest_noise(s) + s.training.eta >= 0.2,
)

# Domains: the first value of a tuple and the low end of an interval make the Setting that every search tries first and
# on which the wrong theories are tried. They are therefore generic: two modes, decay, no equal rates.
ETA: Domain = (0.1, 0.0, 0.02, 0.05, 0.2, 0.4)
ALPHA_P: Domain = (2.0, 1.0, 0.25, 0.5, 3.0, 4.0)
BETA: Domain = (0.7, 0.1, 0.3, 1.0, 2.0)
ANGLE: Domain = (0.5, 0.0, 0.2, 0.8)
ISOTROPIC_VARY: dict[str, Domain] = {
    "d": (2, 1, 3),
    "views.signal": Spectrum(1.0, 1.0, equal=True),
    "views.noise": Spectrum(0.1, 0.5, equal=True),
}
GENERAL_VARY: dict[str, Domain] = {
    "d": (2, 1, 3),
    "views.signal": Spectrum(0.2, 1.5),
    "views.noise": Spectrum(0.1, 1.0),
    "views.angle": ANGLE,
    "network.k": (2, 1, 3),
    "seed": (0, 1, 2, 3),
}


def isotropic(k: int, d: int, network: Network, objective: Objective, training: Training) -> Setting:
    """A base Setting of their model: X = I_d, X' = SIGMA2 I_d, k outputs."""
    views = GaussianViews(signal=(1.0,) * d, noise=(SIGMA2,) * d)
    return Setting(views, network, objective, training).replace(network__k=k)


def smallest_noise(setting: Setting) -> float:
    """The smallest eigenvalue of X' = A - C for Gaussian views without twist."""
    return min(setting.views.noise) if isinstance(setting.views, GaussianViews) else 0.0


def a_of(setting: Setting) -> float:
    """a = 1 + sigma² of the isotropic model."""
    return float(moments(setting).A[0, 0])


def relative(M: Array, size: Array) -> Array:
    """M (R, T, m, n) over size (R, T); an exact 0 of the size (nothing to compare) leaves M as it is."""
    return M / np.where(size > 0, size, 1.0)[..., None, None]


def share_picture(run: Run) -> Picture:
    """‖W(t)‖ / ‖W(0)‖, logarithmic."""
    return Picture(r"$\|W(t)\|/\|W(0)\|$", share(run)[..., None], log=True)


def vanishing_picture(run: Run) -> Picture:
    """‖W(t)‖ / ‖W(0)‖, which the claim says tends to 0."""
    return Picture(r"$\|W(t)\|/\|W(0)\|$", share(run)[..., None], np.zeros((len(run.t), 1)), log=True)


def final_log_ratio(better: str, worse: str, name: str = "variance") -> Callable[[Mapping[str, Run]], Array]:
    """A gauge: ln of the ratio of an observable (R, T) of two deep Runs at their last times, predicted positive."""

    def gauge(runs: Mapping[str, Run]) -> Array:
        tiny = np.finfo(float).tiny
        top, bottom = (np.maximum(runs[key][name][:, -1], tiny) for key in (better, worse))
        return np.log(top) - np.log(bottom)

    return gauge
