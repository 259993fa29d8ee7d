"""What the predictor flow does for every C: it stays bounded, but where C is not symmetric it may turn for ever."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from derivations.assumption import Assumption, Domain, Interval, Spectrum
from derivations.byol_common import moments_of
from derivations.byol_turning_proofs import STAYS, TURNS
from derivations.claim import Claim, Picture
from derivations.common import NO_DECAY, ONLINE, PREDICTOR, ROTATIONS, SPECTRA, STARTS, norm
from dynamics.run import Array, Run
from dynamics.setting import GaussianViews, Setting
from dynamics.start import start
from dynamics.views import moments

# Bounded ------------------------------------------------------------------------------------------------------------


def radius(setting: Setting) -> float:
    """R² of byol-bounded: k (κ + ‖C‖²/(α a²)), or ‖W(0)‖² where that is larger."""
    W0, P0, _ = start(setting)
    m, alpha_p = moments(setting), setting.training.alpha_p
    kappa = max(0.0, -float(np.linalg.eigvalsh(P0.T @ P0 / alpha_p - W0 @ W0.T)[0]))
    least = float(np.linalg.eigvalsh(m.A)[0])
    return max(float(np.sum(W0**2)), len(P0) * (kappa + float(np.linalg.norm(m.C, 2)) ** 2 / (alpha_p * least**2)))


def energy(run: Run, share: float = 1.0, damping: float = 1.0) -> Array:
    """(R, T, 2): ⟨W, dW⟩ - tr(YᵀWCᵀ) + damping · tr(YAYᵀ), Y = PW, relative to its terms; and how far ‖W‖² exceeds
    share · R²."""
    A_, _, C_ = moments_of(run)
    W_, Y = run["W"], run["P"] @ run["W"]
    gain, loss = np.sum(Y * (W_ @ C_.T), (-2, -1)), np.sum(Y * (Y @ A_), (-2, -1))
    size = np.abs(gain).max(1, keepdims=True) + loss.max(1, keepdims=True)
    rate = np.sum(W_ * run["dW"], (-2, -1)) - gain + damping * loss
    excess = norm(W_) ** 2 / (share * radius(run.setting)) - 1
    return np.stack([rate / np.where(size > 0, size, 1.0), np.maximum(excess, 0.0)], -1)


# Turning ------------------------------------------------------------------------------------------------------------

ONE_OUTPUT = Assumption("one-output", "an encoder with one output on two inputs", {"network.k": (1,), "d": (2,)})
TURNED = Assumption(
    "turned-isotropic-moments",
    "A = aI and C = cRᵀ with R the rotation by an angle θ in (0, π/2)",
    {
        "views.signal": Spectrum(0.5, 1.0, equal=True),
        "views.noise": Spectrum(0.0, 0.5, equal=True),
        "views.twist": Interval(0.2, 1.2),
    },
)
ALIVE = Assumption(
    "alive",
    "p(0) > 0, and the balance leaves W a length, such that p settles at a rate of at least 0.4 and t_end shows the limit",
    {"network.start": ("balanced", "aligned")},
    where=lambda s: bool(float(turning(s)[3]) >= 0.4),
)


def turning(setting: Setting, twists: float = 1.0) -> tuple[float, float, float, float]:
    """(p, ‖W‖², φ', rate): where p and ‖W‖² settle, the angular speed of W there, and the least rate of settling.

    p → (c/a) cos θ, ‖W‖² → (p² - p(0)²)/alpha + ‖W(0)‖², φ' → -(c²/2a) sin 2θ; p moves at the rate a alpha ‖W‖².
    """
    W0, P0, _ = start(setting)
    m, alpha_p = moments(setting), setting.training.alpha_p
    theta = twists * (setting.views.twist if isinstance(setting.views, GaussianViews) else 0.0)
    a_, c_ = float(m.A[0, 0]), float(np.linalg.norm(m.C, 2))
    p, square = c_ / a_ * np.cos(theta), float(np.sum(W0**2))
    end = float((p**2 - P0[0, 0] ** 2) / alpha_p + square)
    rate = a_ * alpha_p * min(square, end) if P0[0, 0] > 0 else 0.0
    return float(p), end, float(-p * c_ * np.sin(theta)), rate


def turns(run: Run, twists: float = 1.0, speed: float = 1.0) -> Array:
    """(R, 1, 3): p, ‖W‖² and the angular speed of W at the last time, less what the claim says they are."""
    p, square, omega, _ = turning(run.setting, twists)
    W_, dW, P_ = run["W"][:, -1, 0], run["dW"][:, -1, 0], run["P"][:, -1, 0, 0]
    length = np.sum(W_**2, -1)
    cross = W_[:, 0] * dW[:, 1] - W_[:, 1] * dW[:, 0]
    angular = cross / np.where(length > 0, length, np.nan)
    return np.stack([P_ - p, length - square, angular - speed * omega], -1)[:, None]


def _turn_picture(run: Run) -> Picture:
    angle = np.unwrap(np.arctan2(run["W"][:, :, 0, 1], run["W"][:, :, 0, 0]), axis=1)
    line = angle[0, -1] + turning(run.setting)[2] * (run.t - run.t[-1])
    return Picture("angle of $W$ (rad)", angle[..., None], line[:, None])


RATES: Mapping[str, Domain] = {"training.alpha_p": (1.0, 0.5, 2.0)}
CLAIMS = (
    Claim(
        "byol-bounded",
        "3.3",
        "Whatever C is, encoder and predictor stay bounded",
        r"\|W(t)\|^2 \le \max\big(\|W(0)\|^2,\ k\,(\kappa + \|C\|_2^2/(\alpha_p a^2))\big),\quad a = \lambda_{\min}(A) > 0,\quad "
        r"\kappa = \max\big(0, -\lambda_{\min}(P^\top P/\alpha_p - WW^\top)\big)",
        "corrects byol-convergence",
        base=PREDICTOR.replace(network__w0=0.3, network__start="balanced", training__t_end=20.0),
        vary={**SPECTRA, **ROTATIONS, **STARTS, **RATES, "network.start": ("balanced", "generic"), "network.p0": (0.7, 0.2, 1.2)},
        states=(NO_DECAY, ONLINE),
        residual=energy,
        mutants={
            "no loss of energy to A": lambda r: energy(r, damping=0.0),
            "it never outgrows a tenth of the bound": lambda r: energy(r, share=0.1),
        },
        proof=STAYS,
        scope="all dimensions, any C, any start, k, d, alpha_p; A positive definite. ‖MN‖ <= ‖M‖₂ ‖N‖ is used in "
        "words",
        picture=lambda run: Picture(
            r"$\|W\|^2$, and its bound $R^2$", norm(run["W"])[..., None] ** 2, np.full((len(run.t), 1), radius(run.setting))
        ),
        explains="The flow exists for all times: it cannot run away. That it comes to rest does not follow, and is false where C is "
        "not symmetric: see byol-turning.",
    ),
    Claim(
        "byol-turning",
        "3.3",
        "Where C is not symmetric, the encoder may turn for ever at constant length",
        r"A = aI,\ C = cR(\theta)^\top,\ k = 1:\quad p \to \tfrac ca\cos\theta,\quad \|W\|^2 \to \mathrm{const} > 0,\quad "
        r"\dot\varphi \to -\tfrac{c^2}{2a}\sin2\theta",
        "corrects byol-convergence",
        base=PREDICTOR.replace(
            views__signal=(1.0, 1.0), views__noise=(0.25, 0.25), views__twist=0.6, network__k=1, network__start="balanced",
            training__t_end=30.0, training__points=31, training__lr=0.02, seed=1,  # seed 0 starts W too short to settle by t_end
        ),
        vary={**RATES, "views.signal": Spectrum(0.5, 1.0, equal=True), "views.noise": Spectrum(0.0, 0.5, equal=True),
              "views.twist": Interval(0.2, 1.2), "d": (2,), "network.start": ("balanced", "aligned"),
              "network.w0": (0.7, 0.4, 1.1), "network.p0": (0.7, 0.4), "seed": tuple(range(8))},
        states=(NO_DECAY, ONLINE, ONE_OUTPUT, TURNED, ALIVE),
        residual=turns,
        slack=lambda s: float(np.exp(-turning(s)[3] * s.training.t_end / 2)),
        mutants={
            "it comes to rest": lambda r: turns(r, speed=0.0),
            "twice the angle": lambda r: turns(r, twists=2.0),
        },
        proof=TURNS,
        scope="k = 1, d = 2, A = aI; any alpha_p, θ in (0, π/2), p(0) > 0. ‖W‖² stays between its start and its end, so p settles",
        picture=_turn_picture,
        explains="Views whose cross-moment turns the signal, as a video's motion does, ask the predictor for a rotation. One number "
        "cannot be one, so the encoder turns instead: the loss and ‖W‖ stand still while W never does. With k = 2 outputs the "
        "predictor can turn, and most starts come to rest; one whose encoder loses a rank on its way turns as with k = 1.",
    ),
)  # fmt: skip
