"""Corrected claims beside Tian et al. 2021 on one mode: both sides of the saddle, off the parabola."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.assumption import Assumption
from derivations.assumptions_tian import ALIGNED, ISOTROPIC, ISOTROPIC_VARY, STOP_GRADIENT, a_of, isotropic
from derivations.byol_mode_proofs import BALANCE, MODE_P, REDUCTION, a, alpha, c, p, w
from derivations.claim import Claim, Picture
from derivations.common import EQUAL_DECAY, ONLINE
from derivations.proof import Step
from derivations.tian_basin import DISTANCE, FACTORS, live, root, start_modes
from dynamics.run import Array, Run
from dynamics.setting import Network, Objective, Setting, Training
from dynamics.start import start

eta, k, e = sp.symbols("eta kappa e", positive=True)  # e stands for e^{-2 eta t}


def offsets(setting: Setting) -> Array:
    """alpha_p s_j(0) - p_j(0)² (r,): which side of the parabola each live mode starts on."""
    W, P, _ = start(setting)
    r = min(W.shape)
    return setting.training.alpha_p * np.sum(W[:r] ** 2, axis=1) - np.diag(P)[:r] ** 2


def rates(setting: Setting) -> Array:
    """(r,) the least rate at which a mode on a side that decides leaves the saddle; negative where its side does not.

    The mode runs ahead of the one that starts at the same p on the parabola, which leaves at the rate a p (p - p-) at least on
    the way up, a (p- - p)(p+ - p) on the way down.
    """
    p0, kappa, a_ = start_modes(setting), offsets(setting), a_of(setting)
    low, high = root(setting, -1), root(setting, 1)
    top = np.minimum(p0, high)
    down = np.where(kappa <= 0, a_ * (low - p0) * (high - p0), -1.0)
    return np.where(p0 < low, down, np.where(kappa >= 0, a_ * top * (top - low), -1.0))


def side_ends(setting: Setting, flip: bool = False) -> Array:
    """(r,) where p_j ends: 0 from p(0) < p-, p+ from p(0) > p-."""
    return np.where((start_modes(setting) < root(setting, -1)) != flip, 0.0, root(setting, 1))


def sides(run: Run, flip: bool = False) -> Array:
    """(p_j - end, alpha_p s_j - end²) (R, 1, 2r) at the last time."""
    p_, s_ = live(run)
    end = side_ends(run.setting, flip)
    return np.concatenate([p_[:, -1:] - end, s_[:, -1:] - end**2], axis=-1)


def _sides_picture(run: Run) -> Picture:
    values, end = np.concatenate(live(run), axis=-1), side_ends(run.setting)
    claimed = np.broadcast_to(np.concatenate([end, end**2]), values.shape[1:])
    return Picture("$p_j$ and $\\alpha_p s_j$", values, claimed)


def sides_slack(setting: Setting) -> float:
    """exp(-rate t_end / 2), no faster than the offset's own e^{-2 eta t}."""
    return float(np.exp(-min(rates(setting).min(), 2 * setting.training.eta) * setting.training.t_end / 2))


def _ahead(sign: int) -> sp.Expr:
    """p' minus the parabola's speed at the same p is kappa e (1 - a p), with alpha_p s = p² + kappa e (c = 1)."""
    speed = MODE_P.subs(c, 1).subs(w, sp.sqrt((p**2 + sign * k * e) / alpha)) - eta * p
    return sp.expand(sp.simplify(speed - (p**2 * (1 - a * p) - eta * p) - k * e * (1 - a * p)))


def _below_top(side: int) -> bool:
    """1 - a p > 0 for p below 1/a, written p = 1/(a (1 + q)); p- and p+ lie there."""
    q = sp.Symbol("q", positive=True)
    return bool(sp.simplify(side * (1 - a * p).subs(p, 1 / (a * (1 + q)))).is_positive)


SIDES = Claim(
    id="tian-basin-sides",
    section="T3.2",
    title="Below the saddle and not above the parabola a mode collapses; above the saddle and not below it, it survives",
    statement=r"0<p(0)<p_-,\ \alpha_ps(0)\le p(0)^2\Rightarrow(p,s)\to0;\qquad"
    r" p(0)>p_-,\ \alpha_ps(0)\ge p(0)^2\Rightarrow(p,\alpha_ps)\to(p_+,p_+^2)",
    source="corrects tian-trivial-basin",
    base=isotropic(
        2, 2, Network(start="aligned", w0=0.03, p0=0.05), Objective(), Training(t_end=100.0, eta=0.16, lr=0.1)
    ),
    vary={
        **ISOTROPIC_VARY,
        "network.k": (2, 1, 3),
        "network.start": ("aligned", "parabola"),
        "network.w0": (0.03, 0.01, 0.06, 0.5, 0.8, 1.2),
        "network.p0": (0.05, 0.02, 0.1, 0.4, 0.6),
        "training.eta": (0.16, 0.1, 0.14),
        "seed": (0, 1, 2, 3),
    },
    states=(
        STOP_GRADIENT,
        ONLINE,
        ISOTROPIC,
        EQUAL_DECAY,
        ALIGNED,
        DISTANCE,
        Assumption("weight decay", "eta > 0: without it the offset stays", where=lambda s: s.training.eta > 0),
        Assumption(
            "a side that decides",
            "every mode starts on one of the two sides, and leaves the saddle at a rate of at least 0.08",
            where=lambda s: s.network.p0 > 0 and bool(rates(s).min() >= 0.08),
        ),
    ),
    residual=sides,
    slack=sides_slack,
    mutants={
        "the sides change places": lambda run: sides(run, flip=True),
        "always collapse": lambda run: np.concatenate([x[:, -1:] - 1 for x in live(run)], axis=-1),
    },
    proof=(
        REDUCTION,
        BALANCE,
        Step(
            r"\alpha_ps=p^2+\kappa e^{-2\eta t}:\ \dot p-[p^2(1-(1+\sigma^2)p)-\eta p]=\kappa e^{-2\eta t}(1-(1+\sigma^2)p)",
            lambda: _ahead(1),
            lambda: _ahead(-1),
        ),
        Step(
            r"p<\tfrac1{1+\sigma^2}\Rightarrow 1-(1+\sigma^2)p>0\text{: a mode with }\kappa\le0\text{ stays below, one with }"
            r"\kappa\ge0\text{ above the mode on the parabola}",
            lambda: _below_top(1),
            lambda: _below_top(-1),
        ),
        FACTORS,
    ),
    scope="modes, which aligned starts on isotropic data make exact; by comparison with the mode on the parabola",
    picture=_sides_picture,
    explains="So the boundary of the basin runs through the saddle from the side p < p- above the parabola to the side "
    "p > p- below it: a small predictor with a large encoder can escape, a large predictor with a small encoder can "
    "collapse. Between the two sides p(0) alone decides nothing.",
)

CLAIMS: tuple[Claim, ...] = (SIDES,)
