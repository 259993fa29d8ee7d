"""Theorem 2 of Tian et al. 2021: without stop-gradient, the linear law of the encoder, and how fast it must contract."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.algebra import T, matrix, tr
from derivations.assumptions_tian import ALPHA_P, ETA, GENERAL_VARY, SOURCE, relative
from derivations.claim import Claim, Picture
from derivations.common import EXCHANGEABLE, NO_STOP_GRADIENT, ONLINE, norm
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.views import moments

W, P, L, Y, m = (matrix(name) for name in ("W", "P", "L", "Y", "m"))
eta, lam = sp.symbols("eta lambda", positive=True)

CORRELATED = GaussianViews(signal=(1.2, 0.6), noise=(0.3, 0.5), angle=0.5)
NO_SG = Objective(stop_gradient=False)


def operator(run: Run, X_prime: float = 1.0, shifted: bool = True) -> Array:
    """H = X' ⊗ (PᵀP + I) + X ⊗ (P - I)ᵀ(P - I) + eta I (R, T, kd, kd) of (6), which acts on W with its columns stacked."""
    mo, W, P = moments(run.setting), run["W"], run["P"]
    k, d = W.shape[-2:]
    eye = np.eye(k)
    X, X_ = mo.C, X_prime * (mo.A - mo.C)
    Q = P - eye if shifted else P
    H = np.zeros((*W.shape[:2], k * d, k * d))
    for i in np.ndindex(*W.shape[:2]):
        H[i] = np.kron(X_, P[i].T @ P[i] + eye) + np.kron(X, Q[i].T @ Q[i]) + run.setting.training.eta * np.eye(k * d)
    return H


def theorem2_flow(run: Run, order: str = "column", X_prime: float = 1.0, shifted: bool = True) -> Array:
    """(6): d vec(W)/dt + H vec(W) (R, T, kd, 1), relative to ‖H‖ ‖W‖ + ‖dW‖."""
    H, W = operator(run, X_prime, shifted), run["W"]
    stack = lambda M: (M.mT if order == "column" else M).reshape(*M.shape[:2], -1)  # noqa: E731
    vec, dvec = stack(W), stack(run["dW"])
    gap = (dvec + (H @ vec[..., None])[..., 0])[..., None]
    return relative(gap, norm(H) * norm(W) + norm(run["dW"]))


def theorem2_bound(run: Run, factor: float = 1.0, extreme: int = 0) -> Array:
    """½ d‖W‖²/dt + lambda_min(H) ‖W‖² (R, T), relative to ‖H‖ ‖W‖²: the theorem's bound in Grönwall's form."""
    H, W = operator(run), run["W"]
    rate = np.sum(W * run["dW"], (-2, -1)) + factor * np.linalg.eigvalsh(H)[..., extreme] * norm(W) ** 2
    return rate / (norm(H) * norm(W) ** 2)


def no_stop_gradient(N: sp.Expr, X: sp.Expr) -> sp.Expr:
    """dW/dt with A = B = X + N, C = X and the target's gradient."""
    return T(P) * (W * X - P * W * (X + N)) + P * W * X - W * (X + N) - eta * W


def _contraction(sign: int) -> sp.Expr:
    """½ d‖w‖²/dt + lambda ‖w‖² + ‖mᵀw‖² for dw/dt = -(lambda I + m mᵀ) w: a symmetric H above lambda."""
    w = matrix("w")
    return tr(-(lam + m * T(m)) * w * T(w)) + lam * tr(w * T(w)) + sign * tr(T(m) * w * T(T(m) * w))


THEOREM2_FLOW = Claim(
    id="tian-theorem2-flow",
    section="T2",
    title="Without stop-gradient the encoder obeys a linear law with a positive operator",
    statement=r"\frac{d}{dt}\mathrm{vec}\,W=-H\,\mathrm{vec}\,W,\quad "
    r"H=X'\otimes(P^\top P+I)+X\otimes(P-I)^\top(P-I)+\eta I",
    source=f"{SOURCE}, Theorem 2, (6)",
    base=Setting(CORRELATED, Network(k=3), NO_SG, Training(t_end=4.0, eta=0.1)),
    vary={**GENERAL_VARY, "training.eta": ETA, "training.alpha_p": ALPHA_P},
    states=(NO_STOP_GRADIENT, ONLINE, EXCHANGEABLE),
    rungs=("flow", "descent", "sgd"),
    residual=theorem2_flow,
    mutants={
        "rows stacked for columns": lambda run: theorem2_flow(run, order="row"),
        "P for P - I": lambda run: theorem2_flow(run, shifted=False),
        "X' twice": lambda run: theorem2_flow(run, X_prime=2.0),
    },
    proof=(
        Step(
            r"\dot W=-(P^\top P+I)WX'-(P-I)^\top(P-I)WX-\eta W",
            lambda: sp.expand(no_stop_gradient(L, Y) + (T(P) * P + 1) * W * L + (T(P) - 1) * (P - 1) * W * Y + eta * W),
            lambda: sp.expand(no_stop_gradient(L, Y) + (T(P) * P + 1) * W * L + (T(P) + 1) * (P + 1) * W * Y + eta * W),
        ),
    ),
    scope="all dimensions; two exchangeable views, so that B = A and C = X is symmetric",
    picture=lambda run: Picture("velocity of W", run["dW"].reshape(*run["dW"].shape[:2], -1)),
    explains="Holds as printed if vec stacks columns; with rows stacked the two factors of each Kronecker product "
    "change places. H depends on P(t), so the law is linear in W but not autonomous.",
)
THEOREM2_BOUND = Claim(
    id="tian-theorem2-bound",
    section="T2",
    title="Without stop-gradient the encoder contracts at the smallest eigenvalue of that operator, at least",
    statement=r"\|W(t)\|_F\le\|W(0)\|_F\,\exp\Big(-\int_0^t\lambda_{\min}(H)\Big),\qquad \inf_t\lambda_{\min}(H)>0\Rightarrow W\to0",
    source=f"{SOURCE}, Theorem 2, in its time-resolved form",
    base=THEOREM2_FLOW.base,
    vary=THEOREM2_FLOW.vary,
    states=THEOREM2_FLOW.states,
    residual=theorem2_bound,
    bound=True,
    mutants={
        "the largest eigenvalue of H": lambda run: theorem2_bound(run, extreme=-1),
        "three times the rate": lambda run: theorem2_bound(run, factor=3.0),
    },
    proof=(
        *THEOREM2_FLOW.proof,
        Step(
            r"\tfrac12\tfrac{d}{dt}\|w\|^2=-\lambda\|w\|^2-\|m^\top w\|^2,\ w=\mathrm{vec}\,W,\ H=\lambda I+mm^\top",
            lambda: _contraction(1),
            lambda: _contraction(-1),
        ),
    ),
    scope=THEOREM2_FLOW.scope + ". From the rate to the bound: Grönwall",
    picture=lambda run: Picture(r"$\|W\|_F$", norm(run["W"])[..., None], log=True),
    explains="The theorem supposes inf λ_min(H) > 0 along the trajectory. What its reading makes of it, that the encoder "
    "collapses, is tian-theorem2, where that hypothesis is dropped.",
)

CLAIMS: tuple[Claim, ...] = (THEOREM2_FLOW, THEOREM2_BOUND)
