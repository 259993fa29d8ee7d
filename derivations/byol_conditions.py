"""The note's section 3.3: its three conditions for non-collapse, one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from derivations.assumption import Assumption, Interval, Spectrum
from derivations.byol_balance import ALIGNED, start_modes
from derivations.byol_common import LONG, STRONG, unpredicted
from derivations.byol_mode_proofs import BLIND, REDUCTION
from derivations.byol_proofs import NO_PREDICTOR, UNPREDICTED
from derivations.claim import Claim, Picture, Transfer
from derivations.common import (
    EXCHANGEABLE,
    NO_DECAY,
    NOISY,
    NOTE,
    ONLINE,
    PREDICTOR,
    ROTATIONS,
    SPECTRA,
    STARTS,
    final_share,
    noise_slack,
    picture_vanishing,
)
from derivations.invariance_proofs import LIMIT
from dynamics.observe import singular_values
from dynamics.run import Array, Run
from dynamics.setting import Setting


def smallest_kept(run: Run) -> Array:
    """σ_d(W(T)) / σ_d(W(0)), or 0 where W has fewer than d singular values."""
    sigma = singular_values(run["W"])
    d = run["W"].shape[-1]
    if sigma.shape[-1] < d:
        return np.zeros((len(sigma), 1))
    return (sigma[:, -1, d - 1] / sigma[:, 0, d - 1])[:, None]


def _smallest_picture(run: Run) -> Picture:
    sigma = singular_values(run["W"])[..., -1:]
    return Picture("smallest singular value of W", sigma, np.zeros(sigma.shape[1:]))


def blind_modes(run: Run, factor: float = 2.0) -> tuple[Array, Array]:
    """(p w, p w(0) / (1 + factor a √alpha_p p w(0) t)), each (R, T, r), of an aligned start; w_j = ‖row j of W‖, wherever the
    mode's axis lies."""
    _, _, a, _ = start_modes(run.setting)
    r = len(a)
    pw = np.abs(np.diagonal(run["P"], axis1=-2, axis2=-1)[..., :r]) * np.linalg.norm(run["W"][..., :r, :], axis=-1)
    rate = factor * a * np.sqrt(run.setting.training.alpha_p)
    return pw, pw[:, :1] / (1 + rate * pw[:, :1] * run.t[:, None])


def blind_product(run: Run, factor: float = 2.0) -> Array:
    """(R, T, r) p w - p w(0) / (1 + factor a √alpha_p p w(0) t) of every aligned mode with c = 0: must be <= 0."""
    pw, bound = blind_modes(run, factor)
    return np.where(start_modes(run.setting)[3] == 0, pw - bound, 0.0)


def _blind_picture(run: Run) -> Picture:
    pw, bound = blind_modes(run)
    return Picture("p w of each mode", pw, bound[0])


def log_fall(name: str) -> Callable[[Mapping[str, Run]], Array]:
    """Gauge: log of an observable's fall from start to end, per seed (R,)."""
    return lambda runs: np.concatenate(
        [np.log((r[name][:, 0] + 1e-30) / (r[name][:, -1] + 1e-30)) for r in runs.values()]
    )


UNPREDICTABLE = Assumption(
    "unpredictable",
    "no direction of x⁺ follows linearly from x: B - CᵀA⁻¹C is positive definite (at least 0.25, so that t_end shows the limit)",
    where=lambda s: unpredicted(s)[0] >= 0.25 - 1e-12,  # rounding, at order 1
)


def unpredicted_slack(setting: Setting) -> float:
    """e^{-λ T/2}, λ the smallest eigenvalue of B - CᵀA⁻¹C that is not 0: what the limit may still lack at T."""
    rates = unpredicted(setting)
    return float(np.exp(-min(rates[rates > 1e-12], default=np.inf) * setting.training.t_end / 2))


NEAR_IDENTITY = {
    "network.start": ("generic", "aligned"),
    "network.p0": Interval(0.2, 1.2),
    "training.alpha_p": (1.0, 0.5, 2.0),
}
ONE_OUTPUT_EACH = {  # k >= d: an encoder that is too narrow loses rank whatever C is
    **STARTS,
    "d": (2,),
    "network.k": (2, 3),
    "views.signal": Spectrum(0.0, 1.0),
    "views.noise": Spectrum(0.25, 1.0),
}
HALF = LONG.replace(training__t_end=32.0, training__points=9)  # λ >= 0.25: e^{-λT/2} is below 0.02
ALONE = {**SPECTRA, **ROTATIONS, **STARTS}
CLAIMS = (
    Claim(
        "byol-condition-predictor",
        "3.3",
        "Without a predictor the encoder collapses",
        r"P = I \Rightarrow W \to 0",
        NOTE + "3.3",
        base=HALF.replace(objective__predictor="none"),
        vary=ALONE,
        states=(NO_DECAY,),
        needs=(NOISY, EXCHANGEABLE),
        rungs=("exact", "flow", "descent", "sgd"),
        residual=final_share,
        slack=noise_slack,
        mutants={"half stays": lambda r: final_share(r) - 0.5},
        proof=(*NO_PREDICTOR, LIMIT),
        scope="all dimensions",
        corrected_by="byol-no-predictor-solution",
        explains="Without predictor the flow is dW/dt = -W X': only the directions that the augmentation moves collapse.",
        picture=picture_vanishing,
        transfer=Transfer(
            ("simsiam-mlp-no-predictor",),
            "without a predictor the deep variance falls: log(start / end)",
            log_fall("variance"),
        ),
    ),
    Claim(
        "byol-condition-stop-gradient",
        "3.3",
        "Without stop-gradient the encoder collapses",
        r"\text{no sg} \Rightarrow W \to 0",
        NOTE + "3.3",
        base=HALF.replace(objective__stop_gradient=False),
        vary={**ALONE, **NEAR_IDENTITY, "views.signal": Spectrum(0.25, 1.0, falling=True)},
        states=(NO_DECAY,),
        needs=(UNPREDICTABLE,),
        rungs=("flow", "descent", "sgd"),
        residual=final_share,
        slack=unpredicted_slack,
        mutants={"half stays": lambda r: final_share(r) - 0.5},
        proof=(UNPREDICTED, LIMIT),
        scope="all dimensions",
        corrected_by="byol-no-stop-gradient-bound",
        explains="Without stop-gradient d/dt ‖W‖² = -4J <= -2 λ_min(B - CᵀA⁻¹C)‖W‖²: collapse is proved where no direction of x⁺ "
        "follows from x. Where one does, be it for want of noise or as x⁺ is x turned, P can learn how, and J = 0 with W != 0.",
        picture=picture_vanishing,
        transfer=Transfer(
            ("simsiam-mlp-no-stopgrad",),
            "without stop-gradient the deep variance falls: log(start / end)",
            log_fall("variance"),
        ),
    ),
    Claim(
        "byol-condition-cross-correlation",
        "3.3",
        "Views that are too similar make C low rank, and collapse follows",
        r"x^+ \to x \Rightarrow \mathrm{rank}\,C < d,\ W \to 0",
        NOTE + "3.3",
        base=LONG.replace(views__noise=(0.0, 0.0)),
        vary={**STRONG, **STARTS},
        states=(
            NO_DECAY,
            Assumption(
                "identical-views",
                "the views are as similar as they can be: x⁺ = x",
                {"views.noise": Spectrum(0.0, 0.0)},
            ),
        ),
        rungs=("flow", "descent"),
        residual=final_share,
        slack=lambda s: 0.01,
        holds_at=LONG.replace(training__eta=1.0),
        corrected_by="byol-blind-mode",
        explains="Identical views give C = A, of full rank whenever the data has it. Low rank of C comes from views that "
        "share nothing along a direction, that is, from too much noise and no signal, not from too little.",
        picture=picture_vanishing,
    ),
    Claim(
        "byol-condition-full-rank",
        "3.3",
        "Where C has not full rank, collapse follows: W loses rank",
        r"\mathrm{rank}\,C < d \Rightarrow \mathrm{rank}\,W^\top W < d",
        NOTE + "3.3, condition 3: that C must have full rank",
        base=HALF.replace(views__signal=(1.0, 0.0)),
        vary={**ONE_OUTPUT_EACH, **NEAR_IDENTITY},
        states=(
            NO_DECAY,
            ONLINE,
            Assumption(
                "C-singular",
                "0 < rank C < d",
                where=lambda s: min(s.get("views.signal")) == 0 < max(s.get("views.signal")),
            ),
        ),
        rungs=("flow", "descent"),
        residual=smallest_kept,
        slack=lambda s: 0.25,  # what keeps more than a quarter for ever has not collapsed
        holds_at=LONG.replace(training__eta=1.0),
        corrected_by="byol-aligned-limit",
        explains="Where the views share nothing the predictor dies, and with it the gradient of the encoder: p w vanishes "
        "(byol-blind-mode), but w² ends at its kept offset w² - p²/alpha_p where that is positive. So full rank of C is neither "
        "sufficient (byol-no-collapse) nor necessary for W to keep its rank; what is lost is the prediction.",
        picture=_smallest_picture,
    ),
    Claim(
        "byol-blind-mode",
        "3.3",
        "Where the views share nothing (c = 0) the prediction P W on that mode dies at least like 1/t",
        r"c_j = 0 \Rightarrow p_jw_j \le p_jw_j(0)/(1 + 2a_j\sqrt{\alpha_p}\,p_jw_j(0)\,t)",
        "corrects byol-condition-cross-correlation",
        base=PREDICTOR.replace(views__signal=(0.0, 0.0), network__start="aligned"),
        vary={
            "d": (1, 2),
            "views.signal": Spectrum(0.0, 0.0),
            "views.noise": Spectrum(0.25, 1.0),
            "network.start": ("aligned", "parabola"),
            "network.k": (1, 2),
            "network.w0": Interval(0.2, 1.2),
            "network.p0": Interval(0.2, 1.2),
            "training.alpha_p": (1.0, 0.5, 2.0),
            "seed": tuple(range(8)),
        },
        states=(
            NO_DECAY,
            ONLINE,
            ALIGNED,
            Assumption("nothing-shared", "c = 0: the views share nothing", {"views.signal": Spectrum(0.0, 0.0)}),
        ),
        rungs=("flow", "descent"),
        residual=blind_product,
        bound=True,
        mutants={"four times as fast": lambda r: blind_product(r, 8.0)},
        proof=(REDUCTION, *BLIND),
        scope="aligned modes with c = 0, which the flow keeps aligned",
        picture=_blind_picture,
    ),
)
