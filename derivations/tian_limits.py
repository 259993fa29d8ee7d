"""Claims of Tian et al. 2021 about where the flow ends: decay, optimal predictor, fixed points."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.algebra import T, matrix, rewrite, tr
from derivations.assumption import Assumption, Interval
from derivations.assumptions_tian import (
    ANGLE,
    ETA,
    ISOTROPIC,
    ISOTROPIC_VARY,
    SOURCE,
    STOP_GRADIENT,
    final_log_ratio,
    isotropic,
    relative,
    share_picture,
)
from derivations.claim import Claim, Picture, Transfer
from derivations.common import EXCHANGEABLE, NO_DECAY, ONLINE, norm, share
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.views import moments

W, P, L, Y, z = (matrix(name) for name in ("W", "P", "L", "Y", "z"))
A = matrix("A", symmetric=True)
eta, a = sp.symbols("eta a", positive=True)
half = sp.S.Half
COLLAPSED = 1e-6  # ‖W‖ / ‖W(0)‖ below which its direction is the integrator's rounding


# Weight decay -------------------------------------------------------------------------------------------------------


def threshold(run: Run, quarter: float = 0.25, decay: float = 1.0) -> Array:
    """‖W(t)‖ / ‖W(0)‖ - exp(-(eta - kappa/4) t), kappa the largest eigenvalue of Cᵀ A⁻¹ C: 1/(1+sigma²) if X = I."""
    mo = moments(run.setting)
    kappa_ = np.linalg.eigvalsh(mo.C.T @ np.linalg.solve(mo.A, mo.C)).max()
    return share(run) - np.exp(-(decay * run.setting.training.eta - quarter * kappa_) * run.t)


def _threshold_square(share_of_kappa: sp.Expr) -> sp.Expr:
    """½ d‖W‖²/dt + (eta - kappa/4)‖W‖² + ‖PWL - WY/2‖² + ‖Wz‖²/4, A = L Lᵀ, Cᵀ = Y Lᵀ, kappa I = Y Yᵀ + z zᵀ."""
    dW = T(P) * (W * Y * T(L) - P * W * L * T(L)) - eta * W
    gap = P * W * L - half * W * Y
    rest = share_of_kappa * (W * (Y * T(Y) + z * T(z)) * T(W))  # kappa‖W‖²/4
    return tr(dW * T(W) + eta * W * T(W) - rest + gap * T(gap) + sp.Rational(1, 4) * W * z * T(W * z))


def _isotropic_kappa(gain: sp.Expr) -> sp.Expr:
    """Cᵀ A⁻¹ C v - gain v/a for every v, from A v = a v and C v = Cᵀ v = v; Y = A⁻¹ obeys Y A = 1, so Y v = v/a."""
    Y_, C, v = matrix("Y"), matrix("C"), matrix("v")
    inverse = rewrite(Y_ * A * v - a * Y_ * v, {A * v: a * v}) == 0  # Y A v = v is a Y v
    rules: dict[sp.Expr, sp.Expr | int] = {C * v: v, T(C) * v: v, Y_ * v: v / a}
    return rewrite(T(C) * Y_ * C * v - gain * v / a, rules) if inverse else sp.S.One


THRESHOLD = Claim(
    id="tian-weight-decay-threshold",
    section="T3.2",
    title="Beyond a threshold of weight decay, on isotropic views 1/4(1+sigma²), only collapse is left",
    statement=r"\eta>\tfrac\kappa4\ \Rightarrow\ W\to 0:\quad "
    r"\|W(t)\|\le\|W(0)\|\,e^{-(\eta-\kappa/4)t},\ \kappa=\lambda_{\max}(C^\top A^{-1}C);\qquad "
    r"X=I,\ X'=\sigma^2I:\ \kappa=\tfrac{1}{1+\sigma^2}",
    source=f"{SOURCE}, section 3.2 and Observation 5",
    base=isotropic(2, 2, Network(start="parabola", w0=0.4, p0=0.4), Objective(), Training(t_end=8.0, eta=0.25)),
    vary={
        "views.signal": ((1.0, 1.0), (0.6, 0.3), (1.0, 0.4)),
        "views.noise": ((0.25, 0.25), (0.1, 0.5), (1.0, 0.5)),
        "views.angle": (0.0, 0.5),
        "views.twist": (0.0, 0.6),
        "views.anchor": (False, True),
        "network.k": (2, 1, 3),
        "network.start": ("parabola", "generic", "symmetric", "aligned"),
        "network.w0": (0.4, 0.1, 0.7, 1.0),
        "network.p0": (0.4, -0.4, 0.1, 1.0),
        "training.eta": Interval(0.25, 0.6, 7),
        "training.alpha_p": (1.0, 0.25, 0.5, 2.0, 4.0),
        "seed": (0, 1, 2, 3),
    },
    states=(STOP_GRADIENT, ONLINE),
    residual=threshold,
    bound=True,
    mutants={
        "threshold 1/8 for 1/4": lambda run: threshold(run, quarter=0.125),
        "no threshold: decay at eta": lambda run: threshold(run, quarter=0.0),
    },
    proof=(
        Step(
            r"\tfrac12\tfrac{d}{dt}\|W\|^2=-(\eta-\tfrac\kappa4)\|W\|^2-\|PWL-\tfrac12WY\|^2-\tfrac14\|Wz\|^2",
            lambda: _threshold_square(half * half),
            lambda: _threshold_square(half),
        ),
        Step(
            r"A=(1+\sigma^2)I,\ C=I:\ C^\top A^{-1}C=\tfrac1{1+\sigma^2}I",
            lambda: _isotropic_kappa(sp.S.One),
            lambda: _isotropic_kappa(a),
        ),
    ),
    scope="all dimensions, starts and moments with A invertible; online target (tau = 1). From the rate to the bound: Grönwall",
    picture=share_picture,
    transfer=Transfer(
        deep=("simsiam-mlp", "simsiam-mlp-strong-decay"),
        says="strong weight decay leaves less variance than the usual one",
        gauge=final_log_ratio("simsiam-mlp", "simsiam-mlp-strong-decay"),
    ),
    explains="The paper shows eta > tau²/4(1+sigma²) for one aligned mode on the parabola, on isotropic data; completing a "
    "square gives the same threshold at tau = 1 for every start, and κ/4 for every second moment. The proof needs V = W: with a moving target the "
    "non-zero fixed points vanish at the same eta, but tau may exceed 1 on the way and no such bound on ‖W‖ follows.",
)

# Optimal predictor --------------------------------------------------------------------------------------------------


def only_decay(run: Run, law: str = "decay") -> Array:
    """dW/dt + eta W and W(t) - e^{-eta t} W(0), side by side, relative to ‖W‖ and ‖W(0)‖."""
    eta = run.setting.training.eta
    W, dW = run["W"], run["dW"]
    G = W @ (moments(run.setting).C.T - moments(run.setting).A) if law == "identity predictor" else np.zeros_like(W)
    rate = 2 * eta if law == "twice the decay" else 0.0 if law == "W stays" else eta
    kept = np.exp(-rate * run.t)[:, None, None] * W[:, :1]
    return np.concatenate([relative(dW - G + rate * W, norm(W)), relative(W - kept, norm(W[:, :1]))], axis=-1)


OPTIMAL = Claim(
    id="tian-optimal-predictor",
    section="T3.2",
    title="With an optimal predictor nothing is learned",
    statement=r"P=P^*(W)=\tfrac{1}{1+\sigma^2}I\ \Rightarrow\ \dot W=-\eta W",
    source=f"{SOURCE}, section 3.2 and Table 1 (the optimal predictor fails)",
    base=isotropic(2, 3, Network(), Objective(predictor="optimal"), Training(t_end=6.0, eta=0.1)),
    vary={
        **ISOTROPIC_VARY,
        "d": (3,),
        "network.k": (2, 1, 3),
        "training.eta": ETA,
        "seed": (0, 1, 2, 3),
    },
    states=(
        STOP_GRADIENT,
        ONLINE,
        ISOTROPIC,
        Assumption("optimal predictor", "P = P*(W)", only={"objective.predictor": ("optimal",)}),
    ),
    residual=only_decay,
    mutants={
        "twice the decay": lambda run: only_decay(run, "twice the decay"),
        "P = I for P*": lambda run: only_decay(run, "identity predictor"),
        "W stays": lambda run: only_decay(run, "W stays"),
    },
    proof=(
        Step(
            r"P^*F_A=WW^\top,\ F_A=(1+\sigma^2)WW^\top:\ P^*=\tfrac{1}{1+\sigma^2}I\text{ solves the normal equation}",
            lambda: sp.expand(W * T(W) - (1 / a) * W * a * T(W)),
            lambda: sp.expand(W * T(W) - W * a * T(W)),
        ),
        Step(
            r"P^{*\top}(W-P^*W(1+\sigma^2))-\eta W=-\eta W",
            lambda: sp.expand((1 / a) * (W - (1 / a) * W * a) - eta * W + eta * W),
            lambda: sp.expand((W - W * a) - eta * W + eta * W),
        ),
    ),
    scope="isotropic data; k <= d, so that W Wᵀ is invertible",
    picture=lambda run: Picture(
        r"$\|W(t)\|/\|W(0)\|$", share(run)[..., None], np.exp(-run.setting.training.eta * run.t)[:, None]
    ),
    explains="On isotropic data the optimal linear predictor makes the residual vanish, so only weight decay moves W. "
    "For other moments and k < d the optimal predictor cannot reproduce C A⁻¹ on the range of W: a residual "
    "remains and W moves; for an invertible W the residual vanishes again.",
)

# Manifold of fixed points -------------------------------------------------------------------------------------------


def manifold(run: Run, theory: str = "C A^-1") -> Array:
    """(P W - W Cᵀ A⁻¹) / ‖W‖ (R, 1, k, d) at the last time; 1 where W has collapsed and nothing is left to compare."""
    m, W, P = moments(run.setting), run["W"][:, -1:], run["P"][:, -1:]
    gain = {
        "C A^-1": m.C.T @ np.linalg.inv(m.A),
        "A C^-1": m.A @ np.linalg.inv(m.C),
        "C": m.C.T,
        "transposed": np.linalg.inv(m.A) @ m.C,
    }[theory]
    collapsed = share(run)[:, -1:, None, None] < COLLAPSED
    return np.where(collapsed, 1.0, relative(P @ W - W @ gain, norm(W)))


def manifold_slack(setting: Setting) -> float:
    """exp(-r t_end / 2), r the smallest eigenvalue of Cᵀ A⁻¹ C: the slowest mode's rate c²/a at its fixed point."""
    m = moments(setting)
    rate = np.linalg.eigvalsh(m.C.T @ np.linalg.solve(m.A, m.C)).min()
    return float(np.exp(-rate * setting.training.t_end / 2))


MANIFOLD = Claim(
    id="tian-non-isotropic-manifold",
    section="TD",
    title="Without weight decay the flow ends on a manifold of fixed points",
    statement=r"\eta=0:\quad PW=WCA^{-1},\ W\ne0\quad\text{as }t\to\infty",
    source=f"{SOURCE}, supplement D.1",
    base=Setting(
        GaussianViews((1.2, 0.7), (0.2, 0.5), angle=0.5),
        Network(start="parabola", p0=-1.3),
        Objective(),
        Training(t_end=60.0, lr=0.1),
    ),
    vary={
        "views.signal": ((1.2, 0.7), (0.6, 1.3), (1.0, 1.0)),
        "views.noise": ((0.2, 0.5), (0.5, 0.1), (0.3, 0.3)),
        "views.angle": ANGLE,
        "network.k": (2, 3),
        "network.start": ("parabola", "balanced", "aligned"),
        "network.w0": (0.7, 0.4, 0.9),
        "seed": (0, 1, 2, 3),
    },
    states=(STOP_GRADIENT, ONLINE, EXCHANGEABLE, NO_DECAY),
    needs=(
        Assumption(
            "a start in the basin",
            "P starts positive semidefinite and balanced with W, which has rank d (k >= d), and C is positive definite",
            only={"network.start": ("parabola", "balanced")},
        ),
    ),
    residual=manifold,
    slack=manifold_slack,
    mutants={
        "A C^-1": lambda run: manifold(run, "A C^-1"),
        "C without A": lambda run: manifold(run, "C"),
        "factors in the other order": lambda run: manifold(run, "transposed"),
    },
    corrected_by="tian-manifold-distance",
    # at the counterexample W goes to 0, where a distance over its norm is rounding
    picture=lambda run: Picture(r"$\|W(t)\|/\|W(0)\|$" + "\n(claimed not to vanish)", share(run)[..., None], log=True),
    explains="Every point of the manifold is stationary, but not every start ends there: a predictor with a negative "
    "eigenvalue can take the encoder with it to zero in that direction, where W = 0 is stationary too, and P keeps "
    "what the balance left it. On the manifold P need not be symmetric and need not commute with W Wᵀ.",
)

CLAIMS: tuple[Claim, ...] = (THRESHOLD, OPTIMAL, MANIFOLD)
