"""Claims of Tian et al. 2021 about one mode's end: fixed points and the trivial basin."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.assumption import Assumption, Spectrum
from derivations.assumptions_tian import (
    ALIGNED,
    ISOTROPIC,
    ISOTROPIC_VARY,
    PARABOLA,
    SOURCE,
    STOP_GRADIENT,
    a_of,
    isotropic,
    vanishing_picture,
)
from derivations.byol_mode_proofs import BALANCE, PARABOLA_SPEED, REDUCTION
from derivations.claim import Claim, Picture
from derivations.common import EQUAL_DECAY, ONLINE, final_share
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import Network, Objective, Setting, Training
from dynamics.start import start

p, a, D = sp.symbols("p a D", positive=True)
ETA_OF_D = (1 - D**2) / (4 * a)  # eta written through D = √(1 - 4 eta a), so that the roots are rational
P_PLUS, P_MINUS = (1 + D) / (2 * a), (1 - D) / (2 * a)

DISTANCE = Assumption(
    "below the threshold of decay",
    "eta < 1 / 4(1 + sigma²), with D² = 1 - 4 eta (1 + sigma²) at least 0.04, so that t_end shows the limit",
    where=lambda s: discriminant(s) >= 0.04,
)
ABOVE = Assumption(
    "start above the saddle", "p_j(0) > 1.2 p_- on every mode", where=lambda s: start_modes(s).min() > 1.2 * root(s, -1)
)
BELOW = Assumption(
    "start below the saddle", "p_j(0) < 0.8 p_- on every mode", where=lambda s: start_modes(s).max() < 0.8 * root(s, -1)
)


def discriminant(setting: Setting) -> float:
    """D² = tau² - 4 eta (1 + sigma²) at tau = 1."""
    return 1 - 4 * setting.training.eta * a_of(setting)


def root(setting: Setting, sign: int) -> float:
    """p± = (1 ± D) / 2(1 + sigma²), NaN beyond the threshold."""
    disc = discriminant(setting)
    return float((1 + sign * np.sqrt(disc)) / (2 * a_of(setting))) if disc >= 0 else float("nan")


def start_modes(setting: Setting) -> Array:
    """p_j(0) of the min(k, d) modes that carry weight."""
    W, P, _ = start(setting)
    return np.diag(P)[: min(W.shape)]


def live(run: Run) -> tuple[Array, Array]:
    """(p_j, alpha_p s_j), each (R, T, r): the r = min(k, d) modes that carry weight."""
    W = run["W"]
    r = min(W.shape[-2:])
    p_ = np.diagonal(run["P"], axis1=-2, axis2=-1)[..., :r]
    return p_, run.setting.training.alpha_p * np.sum(W * W, axis=-1)[..., :r]


def roots_picture(run: Run) -> Picture:
    """p_j of the live modes, beside p+."""
    p_ = live(run)[0]
    return Picture("$p_j$", p_, np.full(p_.shape[1:], root(run.setting, 1)))


# Fixed points -------------------------------------------------------------------------------------------------------


def limit(run: Run, sign: int = 1, decay: float = 1.0, gain: float = 1.0) -> Array:
    """(p_j - p+, alpha_p s_j - p+²) (R, 1, 2r) at the last time."""
    a_ = gain * a_of(run.setting)
    D_ = np.sqrt(max(1 - 4 * decay * run.setting.training.eta * a_, 0.0))
    target = (1 + sign * D_) / (2 * a_)
    p_, s_ = live(run)
    return np.concatenate([p_[:, -1:] - target, s_[:, -1:] - target**2], axis=-1)


def limit_slack(setting: Setting) -> float:
    """exp(-p+ D t_end / 2): p+ D is the rate of the linearised parabola flow at p+."""
    return float(np.exp(-root(setting, 1) * np.sqrt(discriminant(setting)) * setting.training.t_end / 2))


def _speed(eta: sp.Expr) -> sp.Expr:
    """(16) at tau = 1: p' = p² (1 - a p) - eta p."""
    return p**2 * (1 - a * p) - eta * p


FACTORS = Step(
    r"\dot p=-(1+\sigma^2)\,p\,(p-p_-)(p-p_+)",
    lambda: _speed(ETA_OF_D) + a * p * (p - P_MINUS) * (p - P_PLUS),
    lambda: _speed(ETA_OF_D) + p * (p - P_MINUS) * (p - P_PLUS),
)
FIXED_POINTS = Claim(
    id="tian-fixed-points",
    section="T3.2",
    title="On the parabola a mode above the saddle ends at p+",
    statement=r"p_\pm=\frac{\tau\pm\sqrt{\tau^2-4\eta(1+\sigma^2)}}{2(1+\sigma^2)},\qquad "
    r"p(0)>p_-\ \Rightarrow\ p(t)\to p_+,\ s(t)\to p_+^2/\alpha_p",
    source=f"{SOURCE}, section 3.2, (16) and its fixed points",
    base=isotropic(2, 2, Network(start="parabola"), Objective(), Training(t_end=60.0, eta=0.05, lr=0.1)),
    vary={
        **ISOTROPIC_VARY,
        "network.k": (2, 1, 3),
        "network.w0": (0.7, 0.3, 0.5, 1.2, 0.05),  # 0.05: on either side of the saddle, as eta and alpha_p say
        "training.eta": (0.05, 0.0, 0.02, 0.1),
        "training.alpha_p": (2.0, 1.0, 0.5, 4.0),
        "seed": (0, 1, 2, 3),
    },
    states=(STOP_GRADIENT, ONLINE, ISOTROPIC, EQUAL_DECAY, PARABOLA, DISTANCE, ABOVE),
    residual=limit,
    slack=limit_slack,
    mutants={
        "p- for p+": lambda run: limit(run, sign=-1),
        "no weight decay": lambda run: limit(run, decay=0.0),
        "2 (1 + sigma²) for 1 + sigma²": lambda run: limit(run, gain=2.0),
    },
    proof=(
        REDUCTION,
        BALANCE,
        PARABOLA_SPEED,
        FACTORS,
        Step(
            r"\partial\dot p/\partial p\,|_{p_+}=-p_+D\text{: attracts}",
            lambda: sp.diff(_speed(ETA_OF_D), p).subs(p, P_PLUS) + P_PLUS * D,
            lambda: sp.diff(_speed(ETA_OF_D), p).subs(p, P_PLUS) - P_PLUS * D,
        ),
        Step(
            r"\partial\dot p/\partial p\,|_{p_-}=+p_-D\text{: repels}",
            lambda: sp.diff(_speed(ETA_OF_D), p).subs(p, P_MINUS) - P_MINUS * D,
            lambda: sp.diff(_speed(ETA_OF_D), p).subs(p, P_MINUS) + P_MINUS * D,
        ),
    ),
    scope="modes, which aligned starts on isotropic data make exact; tau = 1: the sign of p' between the roots decides",
    picture=roots_picture,
    explains="The factored form gives the whole phase line: p' is positive between the roots and negative above p+. "
    "The end depends neither on the start nor on alpha_p, except for the scale s = p²/alpha_p.",
)

# Trivial basin ------------------------------------------------------------------------------------------------------


def basin_slack(setting: Setting) -> float:
    """exp(-eta t_end / 2): eta is the rate at which w and p leave for 0 once they are small."""
    return float(np.exp(-setting.training.eta * setting.training.t_end / 2))


TRIVIAL_BASIN = Claim(
    id="tian-trivial-basin",
    section="T3.2",
    title="A predictor below the saddle collapses",
    statement=r"p(0)<p_-\ \Rightarrow\ p(t)\to 0,\ s(t)\to 0",
    source=f"{SOURCE}, section 3.2, the trivial basin, read without reference to s(0)",
    base=isotropic(
        2, 2, Network(start="parabola", w0=0.06, p0=0.05), Objective(), Training(t_end=50.0, eta=0.16, lr=0.1)
    ),
    vary={
        **ISOTROPIC_VARY,
        "views.noise": Spectrum(0.1, 0.26, equal=True),
        "network.k": (2, 1, 3),
        "network.start": ("parabola", "aligned"),
        "network.w0": (0.06, 0.03, 0.08, 0.8, 1.2),
        "network.p0": (0.05, 0.02, 0.1),
        "training.eta": (0.16, 0.14, 0.18),
        "seed": (0, 1, 2, 3),
    },
    states=(STOP_GRADIENT, ONLINE, ISOTROPIC, EQUAL_DECAY, ALIGNED, DISTANCE, BELOW),
    needs=(PARABOLA,),
    residual=final_share,
    slack=basin_slack,
    mutants={
        "the encoder keeps its size": lambda run: final_share(run) - 1,
        "it ends at p+": lambda run: limit(run),
        "it ends at p-": lambda run: limit(run, sign=-1),
    },
    proof=(
        REDUCTION,
        BALANCE,
        PARABOLA_SPEED,
        FACTORS,
        Step(
            r"\partial\dot p/\partial p\,|_{0}=-\eta",
            lambda: sp.diff(_speed(ETA_OF_D), p).subs(p, 0) + ETA_OF_D,
            lambda: sp.diff(_speed(ETA_OF_D), p).subs(p, 0) - ETA_OF_D,
        ),
    ),
    scope="modes on the parabola, tau = 1: p' is negative between 0 and p-",
    corrected_by="tian-basin-sides",
    picture=vanishing_picture,
    explains="On the parabola p- is the boundary. Off it the boundary is a curve in the (p, s) plane, the stable "
    "manifold of the saddle: a small predictor with a large encoder is carried up by s before weight decay can act, "
    "so p(0) alone decides nothing.",
)


CLAIMS: tuple[Claim, ...] = (FIXED_POINTS, TRIVIAL_BASIN)
