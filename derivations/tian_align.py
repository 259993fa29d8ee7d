"""Claims of Tian et al. 2021 about alignment: Theorem 3, and what a commutator does not show."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.algebra import T, directional, matrix, tr
from derivations.assumption import Assumption
from derivations.assumptions_tian import (
    ISOTROPIC,
    SOURCE,
    STOP_GRADIENT,
    SYMMETRISED,
    a_of,
    isotropic,
    relative,
)
from derivations.claim import Claim, Picture, Transfer
from derivations.common import EQUAL_DECAY, ONLINE, norm
from derivations.proof import Step
from derivations.tian_symmetry import APART_VARY, SYMMETRIC_START
from dynamics.observe import normalised_commutator
from dynamics.run import Array, Run
from dynamics.setting import Network, Objective, Setting, Training
from dynamics.start import start

W, m = matrix("W"), matrix("m")
F, Ps, L_ = matrix("F", symmetric=True), matrix("Ps", symmetric=True), matrix("L")
eta, alpha_p, a, tau, lam = sp.symbols("eta alpha_p a tau lambda", positive=True)
half = sp.S.Half

# Theorem 3 ----------------------------------------------------------------------------------------------------------


def generator(run: Run, three_halves: float = 1.5, cross: float = 1.0) -> tuple[Array, Array, Array, Array]:
    """L = [F, P], its measured velocity, K of (9) with tau = 1, and F, each (R, T, k, k). X = I, so F = W Wᵀ."""
    tr_, a = run.setting.training, a_of(run.setting)
    W, P, dW, dP = (run[name] for name in ("W", "P", "dW", "dP"))
    F = W @ W.mT
    dF = dW @ W.mT + W @ dW.mT
    L, dL = F @ P - P @ F, dF @ P + F @ dP - dP @ F - P @ dF
    K = a * (tr_.alpha_p / 2 * F + P @ P - cross * P / a) + three_halves * tr_.eta * np.eye(P.shape[-1])
    return L, dL, K, F


def commutator_law(run: Run, three_halves: float = 1.5, cross: float = 1.0) -> Array:
    """dL/dt + L K + K L, relative to ‖F‖ ‖P‖ (1 + ‖K‖)."""
    L, dL, K, F = generator(run, three_halves, cross)
    return relative(dL + L @ K + K @ L, norm(F) * norm(run["P"]) * (1 + norm(K)))


def commutator_bound(run: Run, factor: float = 4.0, extreme: int = 0) -> Array:
    """d‖L‖²/dt + 4 lambda_min(K) ‖L‖² (R, T) relative to (‖F‖ ‖P‖)² (1 + ‖K‖): Theorem 3 in Grönwall's form."""
    L, dL, K, F = generator(run)
    low = np.linalg.eigvalsh((K + K.mT) / 2)[..., extreme]
    size = (norm(F) * norm(run["P"])) ** 2 * (1 + norm(K))
    rate = 2 * np.sum(L * dL, axis=(-2, -1)) + factor * low * norm(L) ** 2
    return rate / np.where(size > 0, size, 1.0)


def _dF() -> sp.Expr:
    return -a * (Ps * Ps * F + F * Ps * Ps) + tau * (Ps * F + F * Ps) - 2 * eta * F


def _dF_from_W(square: int) -> sp.Expr:
    """d(W Wᵀ)/dt with V = tau W, minus (8)."""
    dW = Ps * (tau * W - a * Ps * W) - eta * W
    F_ = W * T(W)
    law = -a * (Ps**square * F_ + F_ * Ps**square) + tau * (Ps * F_ + F_ * Ps) - 2 * eta * F_
    return sp.expand(directional(F_, {W: dW}) - law)


def _commutator_identity(three_halves: sp.Expr) -> sp.Expr:
    dP = -alpha_p * a * half * (Ps * F + F * Ps) + alpha_p * tau * F - eta * Ps
    L = F * Ps - Ps * F
    K = a * (alpha_p * half * F + Ps * Ps) - tau * Ps + three_halves * eta
    return sp.expand(directional(L, {F: _dF(), Ps: dP}) + L * K + K * L)


def _contraction(keep: int) -> sp.Expr:
    """½ d‖L‖²/dt = -2 lambda ‖L‖² - squares, for dL = -L K - K L and K = lambda I + m mᵀ."""
    K = lam + m * T(m)
    squares = L_ * m * T(L_ * m) + keep * (T(m) * L_ * T(T(m) * L_))
    return tr((-L_ * K - K * L_) * T(L_)) + 2 * lam * tr(L_ * T(L_)) + tr(squares)


SYMMETRIC = Objective(predictor="symmetric")
THEOREM3_BASE = isotropic(3, 3, Network(start="symmetric"), SYMMETRIC, Training(t_end=6.0, eta=0.05, alpha_p=2.0))
THEOREM3_EQUATION = Claim(
    id="tian-theorem3-equation",
    section="T3.1",
    title="The commutator of predictor and correlation obeys a linear law",
    statement=r"\frac{d}{dt}[F,P]=-[F,P]K-K[F,P],\quad "
    r"K=(1+\sigma^2)\big(\tfrac{\alpha_p}2F+P^2-\tfrac{\tau}{1+\sigma^2}P\big)+\tfrac32\eta I",
    source=f"{SOURCE}, Theorem 3, (9)",
    base=THEOREM3_BASE,
    vary=APART_VARY,
    states=(STOP_GRADIENT, ONLINE, ISOTROPIC, EQUAL_DECAY, SYMMETRISED, SYMMETRIC_START),
    residual=commutator_law,
    mutants={
        "eta for 3 eta / 2": lambda run: commutator_law(run, three_halves=1.0),
        "sign of the linear term": lambda run: commutator_law(run, cross=-1.0),
    },
    proof=(
        Step(
            r"\dot F=-(1+\sigma^2)\{P^2,F\}+\tau\{P,F\}-2\eta F",
            lambda: _dF_from_W(2),
            lambda: _dF_from_W(1),
        ),
        Step(
            r"\frac{d}{dt}[F,P]+[F,P]K+K[F,P]=0",
            lambda: _commutator_identity(3 * half),
            lambda: _commutator_identity(sp.S.One),
        ),
    ),
    scope="all dimensions; one scalar tau(t) with V = tau W",
    picture=lambda run: Picture("velocity of [F, P]", generator(run)[1].reshape(*run["P"].shape[:2], -1)),
    explains="Exact for the symmetrised flow with one scalar tau. The numbers test tau = 1 (online target): with a "
    "moving target each mode has its own tau and the law does not close.",
)
THEOREM3 = Claim(
    id="tian-theorem3",
    section="T3.1",
    title="The commutator contracts at twice the smallest eigenvalue of K",
    statement=r"\|[F,P](t)\|_F\le\|[F,P](0)\|_F\,\exp\Big(-2\int_0^t\lambda_{\min}(K)\Big)",
    source=f"{SOURCE}, Theorem 3, in its time-resolved form",
    base=THEOREM3_BASE,
    vary=APART_VARY,
    states=THEOREM3_EQUATION.states,
    rungs=("flow", "descent"),
    residual=commutator_bound,
    bound=True,
    mutants={
        "the largest eigenvalue of K": lambda run: commutator_bound(run, extreme=-1),
        "three times the rate": lambda run: commutator_bound(run, factor=12.0),
    },
    proof=(
        *THEOREM3_EQUATION.proof,
        Step(
            r"\tfrac12\tfrac{d}{dt}\|L\|^2=-2\lambda\|L\|^2-\|Lm\|^2-\|m^\top L\|^2,\ K=\lambda I+mm^\top",
            lambda: _contraction(1),
            lambda: _contraction(-1),
        ),
    ),
    scope="all dimensions; one scalar tau(t) with V = tau W. From the rate to the bound: Grönwall",
    picture=lambda run: Picture(r"$\|[F,P]\|_F$", norm(generator(run)[0])[..., None], log=True),
    transfer=Transfer(
        deep=("simsiam-mlp",),
        says="the normalised commutator of predictor and correlation falls during training",
        gauge=lambda runs: -np.diff(np.log(runs["simsiam-mlp"]["alignment"][:, [0, -1]]), axis=-1)[:, 0],
    ),
    explains="The supplement states the hypothesis with a maximum over t where the infimum is meant. The bound is "
    "sufficient only: two modes align as soon as the sum of their two eigenvalues of K is positive.",
)

# What a small commutator shows --------------------------------------------------------------------------------------


def eigenspaces(run: Run) -> Array:
    """‖[F, P]‖ / (‖F‖ ‖P‖) (R, 1) at the last time: 0 if P and F share their eigenvectors."""
    W, P = run["W"], run["P"]
    last = normalised_commutator(W @ W.mT, P)[:, -1:]
    return np.where(np.isfinite(last), last, 1.0)  # W or P exactly 0: nothing is aligned


def eigenspaces_slack(setting: Setting) -> float:
    """exp(-r t_end / 2), r = 1 / 2(1 + sigma²) below p+/2 + 3 eta/2, the sum of K over a survivor and a dead mode."""
    return float(np.exp(-setting.training.t_end / (4 * a_of(setting))))


def beyond_saddle(setting: Setting) -> bool:
    """eta <= 1/4a and alpha_p lambda_max(F(0)) >= p+², p+ = (1 + √(1 - 4 a eta))/2a: beyond what a mode at rest has."""
    a_, training = a_of(setting), setting.training
    W, _, _ = start(setting)
    rest = 1 - 4 * a_ * training.eta
    return rest >= 0 and training.alpha_p * np.linalg.norm(W, 2) ** 2 >= ((1 + np.sqrt(rest)) / (2 * a_)) ** 2


def within_range(setting: Setting) -> bool:
    """0 <= P(0) <= I / a, where a predictor that predicts at all comes to rest."""
    p = np.linalg.eigvalsh(start(setting)[1])
    return bool(p[0] >= 0 and p[-1] <= 1 / a_of(setting))


ALIGNMENT = Claim(
    id="tian-theorem3-alignment",
    section="T3.1",
    title="A vanishing commutator means aligned eigenspaces",
    statement=r"\inf_t\lambda_{\min}(K)>0\ \Rightarrow\ \frac{\|[F,P]\|}{\|F\|\,\|P\|}\to 0",
    source=f"{SOURCE}, section 3.1, the reading of Theorem 3",
    base=isotropic(
        2, 2, Network(start="symmetric", w0=1.0), SYMMETRIC, Training(t_end=30.0, lr=0.05, eta=0.15)
    ).replace(seed=1),
    vary={
        "views.noise": ((0.25, 0.25), (0.5, 0.5)),
        "network.start": ("symmetric",),  # from an aligned one there is nothing to see
        "network.w0": (1.0, 1.5, 0.01),
        "network.p0": (0.7, 0.01, 2.0),
        "training.eta": (0.15, 0.12, 0.18, 0.19, 0.5, 0.8),
        # at 1, 13, 14, 18, 20, 27 and 30 P(0) is positive definite
        "seed": (0, 1, 2, 3, 11, 13, 14, 18, 20, 27, 30),
    },
    states=(
        *THEOREM3_EQUATION.states,
        Assumption(
            "K positive",
            "the smallest eigenvalue of K stays above 0; here by eta > 1/6(1+sigma²), whatever F and P are",
            where=lambda s: 6 * a_of(s) * s.training.eta > 1,  # K >= a (P - I/2a)² + (3 eta/2 - 1/4a) I
        ),
    ),
    needs=(
        Assumption(
            "encoder beyond the saddle",
            "decay is at most its threshold, and alpha_p F(0) has an eigenvalue of at least p+²",
            where=beyond_saddle,
        ),
        Assumption(
            "predictor within its range",
            "0 <= P(0) <= I/(1+sigma²): a negative predictor, or a larger one, can draw W to 0 however large it is",
            where=within_range,
        ),
    ),
    residual=eigenspaces,
    slack=eigenspaces_slack,
    mutants={"eigenspaces stay as they are": lambda run: eigenspaces(run) - _first(run)},
    corrected_by="tian-normalised-alignment",
    picture=lambda run: Picture(
        r"$\|[F,P]\|/(\|F\|\|P\|)$",
        normalised_commutator(run["W"] @ run["W"].mT, run["P"])[..., None],
        np.zeros((len(run.t), 1)),
        log=True,
    ),
    explains="Under a decay beyond the threshold K stays positive because of the decay itself, F and P vanish, and "
    "the commutator with them, while its normalised form and the angles between eigenvectors stay where they were; "
    "so they do below the threshold from a start in the basin of collapse: that of a small encoder, or of a predictor that is "
    "negative or too large for it. Alignment must be read off the normalised commutator.",
)


def _first(run: Run) -> Array:
    return normalised_commutator(run["W"] @ run["W"].mT, run["P"])[:, :1]


CLAIMS: tuple[Claim, ...] = (THEOREM3_EQUATION, THEOREM3, ALIGNMENT)
