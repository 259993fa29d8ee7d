"""Claims of Tian et al. 2021 about one eigenmode: that modes decouple, and that the target is one scalar times the encoder."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.algebra import T, matrix, rewrite, tr
from derivations.assumption import Assumption, Domain
from derivations.assumptions_tian import (
    ALIGNED,
    ALPHA_P,
    BETA,
    ETA,
    ISOTROPIC,
    ISOTROPIC_VARY,
    SOURCE,
    STOP_GRADIENT,
    a_of,
    isotropic,
    relative,
)
from derivations.byol_mode_proofs import REDUCTION
from derivations.claim import Claim, Picture
from derivations.common import EQUAL_DECAY, norm
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import Network, Objective, Training
from dynamics.start import start

p, w, v, a, alpha_p, beta, eta = sp.symbols("p w v a alpha_p beta eta", positive=True)

EMA_BASE = isotropic(
    2,
    2,
    Network(start="aligned", p0=0.4, tau0=0.0),
    Objective(target="ema"),
    Training(t_end=6.0, eta=0.05, alpha_p=2.0, beta=0.7),
)
MODE_VARY: dict[str, Domain] = {
    **ISOTROPIC_VARY,
    "network.k": (2, 1, 3),
    "network.start": ("aligned", "parabola"),
    "network.w0": (0.7, 0.2, 0.4, 1.0, 1.2),
    "network.p0": (0.4, -0.5, 0.0, 0.8, 1.2),
    "network.tau0": (0.5, 0.0, 1.0),
    "training.eta": ETA,
    "training.alpha_p": ALPHA_P,
    "training.beta": BETA,
    "objective.target": ("ema", "online"),
    "seed": (0, 1, 2, 3),
}
AFTER_ALIGNMENT = (STOP_GRADIENT, ISOTROPIC, ALIGNED, EQUAL_DECAY)


def diagonal(M: Array) -> Array:
    """(…, k) of M (…, k, k)."""
    return np.diagonal(M, axis1=-2, axis2=-1)


def modes(run: Run) -> tuple[Array, Array, Array]:
    """(p, s, tau s), each (R, T, k): diagonals of P, F = W Wᵀ and V Wᵀ; aligned starts have the axes as eigenvectors."""
    W = run["W"]
    return diagonal(run["P"]), diagonal(W @ W.mT), diagonal(run["V"] @ W.mT)


# Theorem 4 ----------------------------------------------------------------------------------------------------------


def decoupled(run: Run, shared_tau: bool = False, twice: float = 2.0, ratio: bool = True, growth: float = 1.0) -> Array:
    """(11), (12), s²-times (13) from the measured velocities and the off-diagonals of P and F, which must stay 0.

    m = tau s replaces tau, so that nothing divides by a vanishing s: s² tau' = s m' - m s'. All relative to the
    largest terms of the state. (R, T, k, 3 + 2k)
    """
    tr_, a = run.setting.training, a_of(run.setting)
    P, W, V, dW, dV = (run[name] for name in ("P", "W", "V", "dW", "dV"))
    p, s, m = modes(run)
    dp, ds, dm = diagonal(run["dP"]), 2 * diagonal(dW @ W.mT), diagonal(dV @ W.mT + V @ dW.mT)
    if shared_tau:
        total = s.sum(-1, keepdims=True)
        m = m.sum(-1, keepdims=True) / np.where(total > 0, total, 1.0) * s
    gap_p = dp - ((tr_.alpha_p if ratio else 1.0) * (m - a * p * s) - tr_.eta * p)
    gap_s = ds - (twice * p * (m - a * p * s) - 2 * tr_.eta * s)
    gap_tau = np.zeros_like(s)
    if run.setting.objective.target == "ema":
        gap_tau = s * dm - m * ds - (tr_.beta * (s - m) * s - growth * m * ds / 2)
    eye = np.eye(P.shape[-1])
    off = np.concatenate([P * (1 - eye), (W @ W.mT) * (1 - eye)], axis=-1)
    size = 1 + norm(P) ** 2 + norm(W) ** 2 + norm(V) ** 2
    return relative(np.concatenate([np.stack([gap_p, gap_s, gap_tau], axis=-1), off], axis=-1), size**2)


def _tau_law(sign: int) -> sp.Expr:
    """s tau' - beta (1 - tau) s + tau s'/2 for s = w², tau = v / w."""
    dw = p * (v - a * p * w) - eta * w
    tau_, s_ = v / w, w**2
    dtau = beta * (w - v) / w - v * dw / w**2
    return s_ * dtau - beta * (1 - tau_) * s_ + sign * tau_ * (2 * w * dw) / 2


DECOUPLED = Claim(
    id="tian-theorem4",
    section="T3.2",
    title="Aligned modes decouple",
    statement=r"\dot p_j=\alpha_ps_j[\tau_j-(1+\sigma^2)p_j]-\eta p_j,\quad "
    r"\dot s_j=2p_js_j[\tau_j-(1+\sigma^2)p_j]-2\eta s_j,\quad s_j\dot\tau_j=\beta(1-\tau_j)s_j-\tau_j\dot s_j/2",
    source=f"{SOURCE}, section 3.2, (11)-(13), with one tau per mode",
    base=EMA_BASE,
    vary=MODE_VARY,
    states=AFTER_ALIGNMENT,
    residual=decoupled,
    mutants={
        "one tau for all modes": lambda run: decoupled(run, shared_tau=True),
        "factor 2 of s dropped": lambda run: decoupled(run, twice=1.0),
        "alpha_p dropped": lambda run: decoupled(run, ratio=False),
        "tau as if its mode did not grow": lambda run: decoupled(run, growth=0.0),
    },
    proof=(
        REDUCTION,
        Step(
            r"s=w^2,\ \tau=v/w:\ \alpha_pw(v-(1+\sigma^2)pw)=\alpha_ps[\tau-(1+\sigma^2)p]",
            lambda: alpha_p * w * (v - a * p * w) - alpha_p * w**2 * (v / w - a * p),
            lambda: alpha_p * w * (v - a * p * w) - alpha_p * w**2 * (v / w + a * p),
        ),
        Step(
            r"\dot s=2w\dot w=2ps[\tau-(1+\sigma^2)p]-2\eta s",
            lambda: 2 * w * (p * (v - a * p * w) - eta * w) - 2 * p * w**2 * (v / w - a * p) + 2 * eta * w**2,
            lambda: 2 * w * (p * (v - a * p * w) - eta * w) - p * w**2 * (v / w - a * p) + 2 * eta * w**2,
        ),
        Step(
            r"s\dot\tau=\beta(1-\tau)s-\tau\dot s/2",
            lambda: _tau_law(1),
            lambda: _tau_law(-1),
        ),
    ),
    scope="modes, which aligned starts on isotropic data make exact: the flow keeps the eigenvectors",
    picture=lambda run: Picture("$p_j$ and $s_j$", np.concatenate(modes(run)[:2], axis=-1)),
    explains="Exact once every mode has its own tau_j = v_j / w_j. The paper writes one tau for all modes, which its "
    "own third equation contradicts as soon as two modes grow at different rates.",
)


def one_tau(run: Run) -> Array:
    """V - tau W relative to ‖V‖ + ‖W‖, tau = ⟨V, W⟩ / ‖W‖² the best single scalar (R, T, k, d)."""
    W, V = run["W"], run["V"]
    size = np.sum(W * W, axis=(-2, -1))
    tau_ = np.sum(V * W, axis=(-2, -1)) / np.where(size > 0, size, 1.0)
    return relative(V - tau_[..., None, None] * W, norm(V) + norm(W))


def _shared_picture(run: Run) -> Picture:
    """τ_j less their mean: beside their common rise the difference that refutes the claim could not be seen."""
    _, s, m = modes(run)
    ratio = m / np.where(s > 0, s, 1.0)
    apart = ratio - ratio.mean(-1, keepdims=True)
    return Picture(
        "$\\tau_j-\\bar\\tau$, where\n$\\tau_j=(VW^\\top)_{jj}/(WW^\\top)_{jj}$", apart, np.zeros(apart.shape[1:])
    )


ONE_MODE = Assumption(
    "one mode", "min(k, d) = 1: a single mode, a single ratio", where=lambda s: 1 in start(s)[0].shape
)


def _one_ratio(others: int) -> sp.Expr:
    """V - tau W, tau = ⟨V, W⟩ / ‖W‖², for W = w u yᵀ, V = ν u yᵀ of unit columns u, y; beside `others` of a second mode that grew
    half as much."""
    u, y, u_, y_ = (matrix(name) for name in ("u", "y", "u'", "y'"))
    nu = sp.Symbol("nu")
    units: dict[sp.Expr, sp.Expr | int] = {T(y) * y: 1, T(y_) * y_: 1, T(y) * y_: 0, T(y_) * y: 0}
    W_ = w * u * T(y) + others * w * u_ * T(y_) / 2
    V_ = nu * u * T(y) + others * nu * u_ * T(y_)
    lengths = [(tr(u * T(u)), 1), (tr(u_ * T(u_)), 1)]
    tau_ = tr(rewrite(V_ * T(W_), units)).subs(lengths) / tr(rewrite(W_ * T(W_), units)).subs(lengths)
    return sp.expand(V_ - tau_ * W_)


SHARED_TAU = Claim(
    id="tian-shared-tau",
    section="T3.1",
    title="The target is one scalar times the encoder",
    statement=r"W_a(t)=\tau(t)\,W(t)\quad\text{with one scalar }\tau(t)",
    source=f"{SOURCE}, Assumption 1",
    base=EMA_BASE.replace(network__k=1),
    vary=MODE_VARY,
    states=AFTER_ALIGNMENT,
    needs=(ONE_MODE,),
    residual=one_tau,
    mutants={"the target vanishes": lambda run: relative(run["V"], norm(run["W"]))},
    proof=(
        REDUCTION,
        Step(
            r"W=w\,uy^\top,\ W_a=\nu\,uy^\top:\ W_a=\tau W,\ \tau=\nu/w=\langle W_a,W\rangle/\|W\|^2",
            lambda: _one_ratio(0),
            lambda: _one_ratio(1),
        ),
    ),
    scope="one mode, min(k, d) = 1, which aligned starts on isotropic data make exact; any target, beta and eta",
    corrected_by="tian-theorem4",
    picture=_shared_picture,
    explains="A start with V = tau W leaves this set at once: the target averages over a past in which the modes of W "
    "grew at different rates, so each mode has its own ratio. One scalar is exact for a single mode, for modes that "
    "all start alike, and for the online target.",
)

CLAIMS: tuple[Claim, ...] = (DECOUPLED, SHARED_TAU)
