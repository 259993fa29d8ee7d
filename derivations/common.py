"""What claims share: assumptions under their usual names, norms over (k, d), and the usual pictures."""

from __future__ import annotations

import numpy as np

from derivations.assumption import Assumption, Interval, Spectrum
from derivations.claim import Picture
from dynamics.observe import singular_values
from dynamics.run import Array, Run
from dynamics.setting import Objective, Setting, Training
from dynamics.views import moments

NOTE = "The Mathematics of Latent Prediction & Collapse in SSL, section "

INVARIANCE = Setting(objective=Objective(loss="invariance"))
PREDICTOR = Setting(training=Training(t_end=4.0))

# the signal is never 0: on data that are 0 every map is constant, and a counterexample would say nothing
SPECTRA = {"d": (1, 2, 3), "views.signal": Spectrum(0.25, 1.0), "views.noise": Spectrum(0.0, 1.0)}
ROTATIONS = {"views.angle": Interval(0.0, 1.5), "views.twist": Interval(0.0, 1.5), "views.anchor": (False, True)}
STARTS = {"network.k": (1, 2, 3), "network.w0": Interval(0.2, 1.2), "seed": tuple(range(8))}

NO_DECAY = Assumption("no-weight-decay", "the flow has no weight decay, eta = 0", {"training.eta": (0.0,)})
EQUAL_DECAY = Assumption("equal-decay", "W and P decay at one rate eta", {"training.eta_p": (None,)})
EQUAL_RATES = Assumption(
    "equal-rates", "predictor and encoder learn at one rate, alpha_p = 1", {"training.alpha_p": (1.0,)}
)
ONLINE = Assumption(
    "online-target", "the target is the online encoder: V = W, hence tau = 1", {"objective.target": ("online",)}
)
WITHOUT_PREDICTOR = Assumption("no-predictor", "P = I", {"objective.predictor": ("none",)})
NO_STOP_GRADIENT = Assumption(
    "no-stop-gradient", "the gradient reaches the target too", {"objective.stop_gradient": (False,)}
)
EXCHANGEABLE = Assumption(
    "exchangeable-views",
    "both views carry independent noise of one law: B = A, C = X is symmetric, X' = A - C",
    {"views.anchor": (False,), "views.twist": (0.0,)},
)
NOISY = Assumption("noise-in-every-direction", "S is positive definite: the augmentation moves every direction",
                   {"views.noise": Spectrum(0.25, 1.0)})  # fmt: skip
FULL_C = Assumption("C-full-rank", "the cross-correlation C has full rank", {"views.signal": Spectrum(0.5, 1.0)})
COMMUTE = Assumption(
    "A-C-commute", "A and C commute and C is symmetric", {"views.angle": (0.0,), "views.twist": (0.0,)}
)


def least_shared(setting: Setting) -> float:
    """The smallest eigenvalue of C + Cᵀ."""
    C = moments(setting).C
    return float(np.linalg.eigvalsh(C + C.T)[0])


POSITIVE_C = Assumption(
    "C-positive",
    "C + Cᵀ is positive definite: no direction is anticorrelated between the views",
    where=lambda s: least_shared(s) > 0,
)
NONNEGATIVE_C = Assumption(
    "C-nonnegative",
    "C + Cᵀ is positive semidefinite and A positive definite: no direction is anticorrelated between the views, none is empty",
    where=lambda s: least_shared(s) >= -1e-12 and np.linalg.eigvalsh(moments(s).A)[0] > 1e-12,  # rounding, at order 1
)


def norm(M: Array) -> Array:
    """Frobenius norm over the last two axes."""
    return np.linalg.norm(M, axis=(-2, -1))


def share(run: Run, name: str = "W") -> Array:
    """‖W(t)‖ / ‖W(0)‖ (R, T); not finite from a start at W = 0, which the engine refuses."""
    size = norm(run[name])
    return size / size[:, :1]


def final_share(run: Run) -> Array:
    """‖W(T)‖ / ‖W(0)‖ (R, 1): what a claim of collapse says to tend to 0."""
    return share(run)[:, -1:]


def relative(difference: Array, *parts: Array) -> Array:
    """‖difference‖ / Σ‖parts‖ over the last two axes, entrywise signs kept: (..., i, j) entries over a scalar scale.

    The scale is the largest over time, so that a decaying quantity is not compared with its own rounding.
    """
    scale = sum(norm(p) for p in parts)
    scale = np.max(np.asarray(scale), axis=1, keepdims=True)[..., None, None]
    if not np.isfinite(scale).all():  # x / inf would be 0 and pass for agreement
        return np.full_like(difference, np.nan)
    return difference / np.where(scale > 0, scale, 1.0)


def picture_singular_values(run: Run) -> Picture:
    """σ_k(W(t)), the claim speaking only of their limit."""
    return Picture("singular values of W", singular_values(run["W"]))


def picture_vanishing(run: Run) -> Picture:
    """σ_k(W(t)), which the claim says tend to 0."""
    sigma = singular_values(run["W"])
    return Picture("singular values of W", sigma, np.zeros(sigma.shape[1:]))


def noise_slack(setting: Setting) -> float:
    """e^{-λ T/2}, λ the smallest non-zero noise variance (infinity if all are 0): what a limit may still lack at T.

    The noise N moves what it moves at λ or more: S = 2N and X' = N of exchangeable views, S = N with a clean anchor.
    """
    least = min((v for v in setting.get("views.noise") if v > 0), default=np.inf)
    return float(np.exp(-least * setting.training.t_end / 2))
