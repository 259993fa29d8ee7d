"""Where the predictor flow ends: the corrected claims of the note's section 3.3. The balance at the start decides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from derivations.assumption import Assumption, Domain, Spectrum
from derivations.byol_common import STRONG, moments_of
from derivations.byol_mode_proofs import (
    APPROACH,
    BALANCE,
    BELOW,
    BEYOND,
    PARABOLA_SPEED,
    PHASE_LINE,
    REDUCTION,
)
from derivations.byol_proofs import BOUNDED, ISOTROPIC_DESCENT
from derivations.claim import Claim, Picture
from derivations.common import (
    COMMUTE,
    EQUAL_DECAY,
    NO_DECAY,
    NONNEGATIVE_C,
    ONLINE,
    POSITIVE_C,
    PREDICTOR,
    STARTS,
    norm,
)
from dynamics.run import Array, Run
from dynamics.setting import Setting
from dynamics.start import start
from dynamics.views import moments

ALIGNED = Assumption(
    "aligned-positive-start",
    "P(0), W(0) and the moments share eigenvectors, P(0) is positive, and no mode of W(0) is 0",
    {"network.start": ("aligned", "parabola")},
    where=lambda s: s.network.p0 > 0,
)
ON_PARABOLA = Assumption(
    "parabola", "an aligned start with p = √alpha_p w > 0 on every mode", {"network.start": ("parabola",)}
)
CLEAR = Assumption(
    "clear of the boundary",
    "every mode leaves the boundary between its ends at a rate of at least 0.4, so that t_end shows the limit",
    where=lambda s: float(np.min(ends(s)[1])) >= 0.4,
)


def start_modes(setting: Setting) -> tuple[Array, Array, Array, Array]:
    """(p, w, a, c), each (r,), of an aligned start: w_j = ‖row j of W‖, a and c read off its direction."""
    W, P, _ = start(setting)
    m, r = moments(setting), min(W.shape)
    w = np.linalg.norm(W[:r], axis=1)
    v = W[:r] / w[:, None]
    return np.diag(P)[:r], w, np.sum((v @ m.A) * v, 1), np.sum((v @ m.C) * v, 1)


def ends(setting: Setting, offset: float = 1.0) -> tuple[Array, Array]:
    """(w², rate) (r,): max(0, (c/a)²/alpha + κ), κ = w(0)² - p(0)²/alpha, and the least rate along the way.

    p moves from p(0) to c/a at the rate a alpha w², so at no less than at its two ends; where w dies first, p falls to
    q = √(-alpha κ) at no less than 2 q (a q - c).
    """
    p, w, a, c = start_modes(setting)
    alpha = setting.training.alpha_p
    kappa = offset * (w**2 - p**2 / alpha)
    end = (c / a) ** 2 / alpha + kappa
    q = np.sqrt(np.maximum(-alpha * kappa, 0.0))
    return np.maximum(end, 0.0), np.where(end > 0, a * alpha * np.minimum(w**2, end), 2 * q * (a * q - c))


def aligned_limit(run: Run, offset: float = 1.0) -> Array:
    """(R, 1, r + 1): w_j² - its predicted end of r modes, then ‖PWA - WCᵀ‖, at the last time."""
    A, _, C = moments_of(run)
    W, P = run["W"][:, -1:], run["P"][:, -1:]
    target = ends(run.setting, offset)[0]
    return np.concatenate(
        [np.sum(W * W, -1)[..., : len(target)] - target, norm(P @ W @ A - W @ C.T)[..., None]], axis=-1
    )


def _squares(run: Run, target: Array) -> Picture:
    w2 = np.sum(run["W"] ** 2, -1)[..., : len(target)]
    return Picture("$w_j^2$, the eigenvalues of $W^\\top W$", w2, np.broadcast_to(target, w2.shape[1:]))


def survivors(setting: Setting, sign: int = 1, decay: float = 1.0) -> tuple[Array, Array]:
    """(w, rate) (r,) on the parabola: p+/√alpha from above p-, 0 from below it or beyond eta = c²/4a."""
    p, _, a, c = start_modes(setting)
    eta = decay * setting.training.eta
    D = np.sqrt(np.maximum(c**2 - 4 * a * eta, 0.0))
    low, high = (c - D) / (2 * a), (c + D) / (2 * a)
    alive = (c**2 > 4 * a * eta) & (p > low)
    nearest = np.minimum(p, high)
    rate = np.where(
        alive, a * nearest * (nearest - low), np.where(D > 0, a * (low - p) * (high - p), eta - c**2 / (4 * a))
    )
    end = high if sign > 0 else low
    return np.where(alive, end / np.sqrt(setting.training.alpha_p), 0.0), rate


def survival(run: Run, sign: int = 1, decay: float = 1.0) -> Array:
    """‖row j of W‖ - its predicted end (R, 1, r) at the last time."""
    target = survivors(run.setting, sign, decay)[0]
    return norm(run["W"][:, -1:, : len(target), None, :]) - target


def descent_of_residual(run: Run, target: float = 1.0) -> Array:
    """With A = aI, C = cI: ⟨cI - aP, dP⟩ - alpha ‖G‖², and how far 2 a alpha t min_{s<=t} ‖G(s)‖² exceeds ‖cI - aP(0)‖².

    (R, T, 2), relative to (‖W‖ ‖cI - aP‖)² at its largest, and to ‖cI - aP(0)‖².
    """
    A, _, C = moments_of(run)
    a, c, alpha = A[0, 0], target * C[0, 0], run.setting.training.alpha_p
    K = c * np.eye(run["P"].shape[-1]) - a * run["P"]
    gap = K @ run["W"]
    rate = np.sum(K * run["dP"], (-2, -1)) - alpha * norm(gap) ** 2
    size = (norm(run["W"]) * norm(K)).max(1, keepdims=True) ** 2
    least = np.minimum.accumulate(norm(gap) ** 2, axis=1)
    excess = 2 * a * alpha * run.t * least / norm(K)[:, :1] ** 2 - 1
    return np.stack([rate / size, np.maximum(excess, 0.0)], -1)


def _residual_picture(run: Run) -> Picture:
    A, _, C = moments_of(run)
    gap = norm(run["P"] @ run["W"] @ A - run["W"] @ C.T)
    return Picture(r"$\|PWA-WC^\top\|$", gap[..., None], log=True)


def slack_of(rate: Array, setting: Setting) -> float:
    """exp(-rate t_end / 2) of the slowest mode."""
    return float(np.exp(-np.min(rate) * setting.training.t_end / 2))


SCALES: Mapping[str, Domain] = {
    "network.w0": (0.7, 0.4, 1.1),
    "training.alpha_p": (1.0, 0.5, 2.0),
    "seed": tuple(range(8)),
}
SLOW = PREDICTOR.replace(training__t_end=60.0, training__points=13, training__lr=0.1)
CLAIMS = (
    Claim(
        "byol-aligned-limit",
        "3.3",
        "Where WᵀW ends, and how much of its rank it keeps, is set by the balance at the start",
        r"w_j^2 \to \max\big(0,\ (c_j/a_j)^2/\alpha_p + \kappa_j\big),\quad \kappa_j = w_j(0)^2 - p_j(0)^2/\alpha_p,\quad "
        r"PWA - WC^\top \to 0",
        "corrects byol-fixed-point, byol-no-collapse and byol-condition-full-rank",
        base=SLOW.replace(network__start="aligned", network__p0=0.5, training__t_end=30.0),
        vary={
            **STRONG,
            **SCALES,
            "views.signal": Spectrum(0.0, 1.0),
            "network.start": ("aligned", "parabola"),
            "network.p0": (0.5, 1.5, 1.0, 0.2),
        },
        states=(NO_DECAY, ONLINE, COMMUTE, NONNEGATIVE_C, ALIGNED, CLEAR),
        residual=aligned_limit,
        slack=lambda s: slack_of(ends(s)[1], s),
        mutants={
            "the note's formula": lambda r: aligned_limit(r, 0.0),
            "the offset of opposite sign": lambda r: aligned_limit(r, -1.0),
        },
        proof=(REDUCTION, BALANCE, APPROACH, BELOW),
        scope="modes, which aligned starts and commuting A and C make exact; any k, d, alpha_p",
        picture=lambda run: _squares(run, ends(run.setting)[0]),
        explains="The offset κ of each mode is kept for ever. The note's formula is κ = 0 at alpha_p = 1. A mode whose "
        "predictor starts so large that the limit would be negative dies, with full-rank C and without decay: rank W ends "
        "as the number of modes where it is positive. The alignment is "
        "exact, and need not be stable: an input direction j on which W has died, or with k < d never was, is taken up "
        "by a row of W that touches it however little, at the rate p (c_j - a_j p) of that row's predictor value p. So where "
        "0 < p < c_j/a_j any noise, that of SGD for instance, turns the row towards j in the end.",
    ),
    Claim(
        "byol-stationary-product",
        "3.3",
        "On isotropic data every start tends to PWA = W̄Cᵀ, whatever WᵀW is, and its speed to 0",
        r"\tfrac{d}{dt}\|cI-aP\|^2 = -2a\alpha_p\|PWA-WC^\top\|^2 \ \Rightarrow\ P^\top(PWA-\bar WC^\top) \to 0",
        "corrects byol-fixed-point",
        base=PREDICTOR,
        vary={**STARTS, **SCALES, "d": (2, 1, 3), "network.p0": (0.7, 0.2, 1.2)},
        states=(
            NO_DECAY,
            ONLINE,
            Assumption(
                "isotropic-moments",
                "A = aI and C = cI",
                {
                    "views.signal": Spectrum(0.5, 1.0, equal=True),
                    "views.noise": Spectrum(0.0, 0.5, equal=True),
                    "views.twist": (0.0,),
                },
            ),
        ),
        residual=descent_of_residual,
        mutants={
            "half the target": lambda r: descent_of_residual(r, 0.5),
            "target of opposite sign": lambda r: descent_of_residual(r, -1.0),
        },
        proof=(ISOTROPIC_DESCENT, BOUNDED),
        scope="all dimensions, any start, any k, d, alpha_p; isotropic data. From a square-integrable residual to its limit: "
        "Barbalat's lemma",
        picture=_residual_picture,
        explains="‖cI - aP‖ falls as fast as the residual is large, so the residual is square integrable; W and P stay "
        "bounded, so it tends to 0. Nothing in this fixes WᵀW. For other moments no such function is known to us: see "
        "byol-convergence.",
    ),
    Claim(
        "byol-survival",
        "3.3",
        "With all three conditions a mode survives if decay is below its threshold and the predictor starts above p-",
        r"\eta < \tfrac{c_j^2}{4a_j},\ p_j(0) > p_- = \tfrac{c_j-\sqrt{c_j^2-4\eta a_j}}{2a_j}"
        r"\ \Rightarrow\ w_j \to p_+/\sqrt{\alpha_p};\quad "
        r"\eta > \tfrac{c_j^2}{4a_j}\ \text{or}\ p_j(0) < p_-\ \Rightarrow\ w_j \to 0",
        "corrects byol-three-conditions",
        base=SLOW.replace(network__start="parabola", training__eta=0.05),
        vary={**STRONG, **SCALES, "network.w0": (0.7, 0.1, 0.3, 1.1), "training.eta": (0.05, 0.0, 0.1, 0.2, 0.5)},
        states=(
            ONLINE,
            EQUAL_DECAY,
            COMMUTE,
            POSITIVE_C,
            ON_PARABOLA,
            Assumption(
                "clear of the saddle",
                "every mode leaves p- at a rate of at least 0.15, so that t_end shows the limit",
                where=lambda s: float(np.min(survivors(s)[1])) >= 0.15,
            ),
        ),
        residual=survival,
        slack=lambda s: slack_of(survivors(s)[1], s),
        mutants={
            "it ends at p-": lambda r: survival(r, sign=-1),
            "decay plays no part": lambda r: survival(r, decay=0.0),
        },
        proof=(REDUCTION, BALANCE, PARABOLA_SPEED, PHASE_LINE, BEYOND),
        scope="modes, which the balanced aligned start and commuting A and C make exact; any k, d, alpha_p",
        picture=lambda run: _squares(run, survivors(run.setting)[0] ** 2),
        explains="The three conditions are not enough, and what is missing has two sides: weight decay has a threshold "
        "c²/4a on each mode, and below it lies a basin of collapse, p < p-, which grows from nothing as decay does. As in "
        "byol-aligned-limit the alignment need not be stable: a dead direction j is taken up from a touch by a row whose predictor "
        "rests between its p- and p+.",
    ),
)
