"""Claims of Tian et al. 2021 about collapse: what Theorem 2 is read to say, no predictor, no stop-gradient."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.algebra import T, matrix, tr
from derivations.assumption import Assumption, Domain
from derivations.assumptions_tian import (
    ANGLE,
    CONTRACTING,
    ETA,
    SOURCE,
    STOP_GRADIENT,
    final_log_ratio,
    smallest_noise,
    vanishing_picture,
)
from derivations.byol_proofs import CONTRACTION, NO_PREDICTOR_FLOW
from derivations.claim import Claim, Picture, Transfer
from derivations.common import EXCHANGEABLE, NO_STOP_GRADIENT, ONLINE, WITHOUT_PREDICTOR, final_share
from derivations.proof import Step
from derivations.tian_theorem2 import NO_SG
from dynamics.run import Array, Run
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training

W, P, m = (matrix(name) for name in ("W", "P", "m"))
eta, lam = sp.symbols("eta lambda", positive=True)

COLLAPSE_TIME = 36.0  # exp(-0.2 · 36 / 2) < 0.03, 0.2 the slowest rate that the needs leave
COLLAPSE_VARY: dict[str, Domain] = {  # rates of collapse are 0 or at least 0.2, never so small that t_end hides them
    "views.signal": ((1.0, 1.0), (1.0, 0.5)),
    "views.noise": ((0.0, 0.0), (0.25, 0.0), (0.25, 0.25), (0.5, 0.25)),
    "views.angle": ANGLE,
    "training.eta": (0.0, 0.25),
    "network.k": (2, 1, 3),
    "seed": (0, 1, 2, 3),
}


def survival(run: Run) -> Array:
    """The opposite theory, ‖W‖ keeps its size."""
    return final_share(run) - 1


def collapse_slack(setting: Setting) -> float:
    """exp(-rate t_end / 2), rate = the smallest eigenvalue of X' + eta I, no less than the 0.2 of the needs: where
    the rate is 0 the slack must not grow to 1, or survival could never contradict the claim."""
    return float(np.exp(-max(smallest_noise(setting) + setting.training.eta, 0.2) * setting.training.t_end / 2))


# Theorem 2, as it is read ---------------------------------------------------------------------------------------------

THEOREM2 = Claim(
    id="tian-theorem2",
    section="T2",
    title="Without stop-gradient the encoder collapses",
    statement=r"\|W(t)\|\to 0\quad\text{as }t\to\infty\text{ without stop-gradient}",
    source=f"{SOURCE}, the reading of Theorem 2 that the stop-gradient is essential: without inf λ_min(H) > 0",
    base=Setting(GaussianViews((1.0, 1.0), (0.25, 0.25)), Network(k=2), NO_SG, Training(t_end=COLLAPSE_TIME, lr=0.1)),
    vary=COLLAPSE_VARY,
    states=(NO_STOP_GRADIENT, ONLINE, EXCHANGEABLE),
    needs=(CONTRACTING,),
    residual=final_share,
    slack=collapse_slack,
    mutants={"the encoder keeps its size": survival},
    proof=(CONTRACTION,),
    scope="all dimensions: the rate is at least the smallest eigenvalue of X' + eta I, where that is positive",
    corrected_by="byol-no-stop-gradient-bound",
    picture=vanishing_picture,
    transfer=Transfer(
        deep=("simsiam-mlp", "simsiam-mlp-no-stopgrad"),
        says="the variance that survives with the stop-gradient exceeds what survives without it",
        gauge=final_log_ratio("simsiam-mlp", "simsiam-mlp-no-stopgrad"),
    ),
    explains="The theorem supposes that the smallest eigenvalue of H stays above a positive number along the whole "
    "trajectory. This is automatic where X' + eta I is positive definite. Where some direction is left alone by the "
    "augmentation and there is no decay, it depends on the start: if P reaches the identity there before W has vanished, H loses rank "
    "and W survives; if W vanishes first, P freezes short of the identity and W collapses all the same.",
)

# No stop-gradient: who survives -------------------------------------------------------------------------------------


def columns(run: Run, factor: float = 1.0, of: str = "noise") -> Array:
    """‖W(t) e_i‖ / ‖W(0) e_i‖ - exp(-(n_i + eta) t) (R, T, d), n_i the eigenvalue of X' on the i-th axis."""
    views = run.setting.views
    assert isinstance(views, GaussianViews)
    rate = factor * np.array(views.noise if of == "noise" else views.signal) + run.setting.training.eta
    size = np.linalg.norm(run["W"], axis=-2)
    return size / size[:, :1] - np.exp(-rate * run.t[:, None])


NO_STOP_GRADIENT_CLAIM = Claim(
    id="tian-no-stop-gradient",
    section="T2",
    title="Without stop-gradient only directions that no augmentation touches can survive",
    statement=r"\|W(t)e_i\|\le e^{-(n_i+\eta)t}\|W(0)e_i\|,\qquad X'e_i=n_ie_i,\ Xe_i=x_ie_i",
    source=f"{SOURCE}, Theorem 2, read mode by mode",
    base=Setting(
        GaussianViews((0.0, 0.7), (0.4, 0.0)), Network(k=2, start="symmetric", p0=0.05), NO_SG, Training(t_end=4.0)
    ),  # where nothing is shared and the predictor is small the bound is all but met
    vary={
        "views.signal": ((1.0, 0.7), (0.2, 1.5), (1.0, 1.0), (0.0, 0.7)),
        "views.noise": ((0.4, 0.0), (0.0, 0.0), (0.1, 0.8), (0.5, 0.5)),
        "network.k": (2, 1, 3),
        "network.p0": (0.3, 0.05),
        "training.eta": ETA,
        "seed": (0, 1, 2, 3),
    },
    states=(
        NO_STOP_GRADIENT,
        ONLINE,
        EXCHANGEABLE,
        Assumption("commuting moments", "X and X' share their eigenvectors", only={"views.angle": (0.0,)}),
    ),
    residual=columns,
    bound=True,
    mutants={
        "a tenth faster": lambda run: columns(run, factor=1.1),
        "X in place of X'": lambda run: columns(run, of="signal"),
    },
    proof=(
        Step(
            r"\tfrac12\tfrac{d}{dt}|w|^2=-(n+\eta)|w|^2-n|Pw|^2-x|(P-I)w|^2\ \text{for a column } w",
            lambda: _column_square(1),
            lambda: _column_square(2),
        ),
    ),
    scope="all dimensions, X and X' commuting",
    picture=lambda run: Picture(
        r"$\|W(t)e_i\|/\|W(0)e_i\|$", np.linalg.norm(run["W"], axis=-2) / np.linalg.norm(run["W"], axis=-2)[:, :1]
    ),
    explains="In the common eigenbasis each column of W contracts on its own, at no less than the variance that the "
    "augmentation puts on it. Collapse is therefore per direction: it spares what lies in the null space of X' when "
    "there is no decay.",
)


def _column_square(weight: int) -> sp.Expr:
    w = matrix("w")
    n, s = sp.symbols("n s", positive=True)
    dw = T(P) * (w * s - P * w * (s + n)) + P * w * s - w * (s + n) - eta * w
    squares = n * P * w * T(P * w) + weight * s * (P - 1) * w * T((P - 1) * w)
    return tr(dw * T(w)) + (n + eta) * tr(w * T(w)) + tr(squares)


# No predictor -------------------------------------------------------------------------------------------------------

NO_PREDICTOR = Claim(
    id="tian-no-predictor",
    section="T2",
    title="Without predictor the encoder collapses",
    statement=r"P=I:\quad \dot W=-W(X'+\eta I),\qquad W(t)\to 0",
    source=f"{SOURCE}, after Theorem 2, and supplement D.3",
    base=Setting(
        GaussianViews((1.0, 1.0), (0.25, 0.25)),
        Network(k=2),
        Objective(predictor="none"),
        Training(t_end=COLLAPSE_TIME, lr=0.1),
    ),
    vary=COLLAPSE_VARY,
    states=(STOP_GRADIENT, ONLINE, EXCHANGEABLE, WITHOUT_PREDICTOR),
    needs=(CONTRACTING,),
    rungs=("exact", "flow", "descent"),
    residual=final_share,
    slack=collapse_slack,
    mutants={"the encoder keeps its size": survival},
    proof=(
        NO_PREDICTOR_FLOW,
        Step(
            r"\tfrac12\tfrac{d}{dt}\|W\|^2=-(\lambda+\eta)\|W\|^2-\|Wm\|^2,\ X'=\lambda I+mm^\top",
            lambda: tr((lam + eta) * W * T(W) + W * m * T(W * m) - W * (lam + m * T(m) + eta) * T(W)),
            lambda: tr((lam + eta) * W * T(W) - W * m * T(W * m) - W * (lam + m * T(m) + eta) * T(W)),
        ),
    ),
    scope="all dimensions, X' + eta I positive definite",
    corrected_by="byol-no-predictor-solution",
    picture=vanishing_picture,
    transfer=Transfer(
        deep=("simsiam-mlp", "simsiam-mlp-no-predictor"),
        says="the variance that survives with a predictor exceeds what survives without one",
        gauge=final_log_ratio("simsiam-mlp", "simsiam-mlp-no-predictor"),
    ),
    explains="Each direction decays at its variance under augmentation plus the weight decay; a direction with "
    "neither keeps its start for ever, as the supplement itself notes. The main text multiplies W by X' from the "
    "left, which has the wrong shape: X' acts on inputs.",
)

CLAIMS: tuple[Claim, ...] = (THEOREM2, NO_STOP_GRADIENT_CLAIM, NO_PREDICTOR)
