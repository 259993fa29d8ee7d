"""Corrected claims beside Tian et al. 2021 on matrices: true alignment, and distance to the manifold."""

from __future__ import annotations

from typing import cast

import numpy as np
import sympy as sp

from derivations.algebra import T, matrix, rewrite, sum_of_squares
from derivations.assumptions_tian import ANGLE, STOP_GRADIENT, isotropic
from derivations.claim import Claim, Picture
from derivations.common import EXCHANGEABLE, NO_DECAY, ONLINE, norm
from derivations.proof import Step
from derivations.tian_align import SYMMETRIC, THEOREM3, THEOREM3_EQUATION, generator
from derivations.tian_symmetry import APART_VARY
from dynamics.observe import normalised_commutator, singular_values
from dynamics.run import Array, Run
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.views import moments

W, P, M, X, m = (matrix(name) for name in ("W", "P", "M", "X", "m"))
A = matrix("A", symmetric=True)
eta, alpha_p, lam = sp.symbols("eta alpha_p lambda", positive=True)

# Alignment ----------------------------------------------------------------------------------------------------------


def _hat(M_: Array, dM: Array) -> tuple[Array, Array]:
    """M / ‖M‖ and its velocity."""
    size = norm(M_)[..., None, None]
    hat = M_ / size
    return hat, (dM - hat * np.sum(hat * dM, (-2, -1))[..., None, None]) / size


def alignment_bound(run: Run, shrink: float = 1.0, factor: float = 4.0, extreme: int = 0) -> Array:
    """d‖L̂‖²/dt + (4 lambda_min(K) + 2 d ln(‖F‖‖P‖)/dt)‖L̂‖², L̂ = [F, P]/(‖F‖‖P‖), relative to 1 + ‖K‖ (R, T)."""
    W_, P_, dW, dP = (run[name] for name in ("W", "P", "dW", "dP"))
    _, _, K, F_ = generator(run)
    dF = dW @ W_.mT + W_ @ dW.mT
    (Fh, dFh), (Ph, dPh) = _hat(F_, dF), _hat(P_, dP)
    L, dL = Fh @ Ph - Ph @ Fh, dFh @ Ph + Fh @ dPh - dPh @ Fh - Ph @ dFh
    shrinking = np.sum(F_ * dF, (-2, -1)) / norm(F_) ** 2 + np.sum(P_ * dP, (-2, -1)) / norm(P_) ** 2
    low = np.linalg.eigvalsh((K + K.mT) / 2)[..., extreme]
    return (2 * np.sum(L * dL, (-2, -1)) + (factor * low + 2 * shrink * shrinking) * norm(L) ** 2) / (1 + norm(K))


def _quotient(power: int) -> sp.Expr:
    """½ d ln(l/s)/dt for l' = -4 lambda l - g, s = (‖F‖‖P‖)²: -2 lambda - ½ (ln s)' - g/2l, g >= 0 the squares."""
    time, g = sp.symbols("t g", positive=True)
    l_, s = sp.Function("l", positive=True)(time), sp.Function("s", positive=True)(time)
    rate = cast(sp.Expr, sp.diff(sp.log(l_ / s), time) / 2).subs(sp.diff(l_, time), -4 * lam * l_ - g)
    return sp.simplify(rate + 2 * lam + sp.diff(sp.log(s**power), time) / 2 + g / (2 * l_))


def _marginal(rate_of_F: int) -> sp.Expr:
    """In collapse K -> 3 eta/2, F falls at 2 eta and P at eta: twice the first is the sum of the others."""
    return 2 * sp.Rational(3, 2) * eta - (rate_of_F * eta + eta)


ALIGNED_SPACES = Claim(
    id="tian-normalised-alignment",
    section="T3.1",
    title="Eigenspaces align where the commutator falls faster than the norms of its factors",
    statement=r"\frac{d}{dt}\ln\frac{\|[F,P]\|}{\|F\|\,\|P\|}\le-\Big(2\lambda_{\min}(K)+\frac{d}{dt}\ln\|F\|\,\|P\|\Big)",
    source="corrects tian-theorem3-alignment",
    base=isotropic(3, 3, Network(start="symmetric"), SYMMETRIC, Training(t_end=6.0, eta=0.5, alpha_p=2.0)),
    vary={**APART_VARY, "training.eta": (0.5, 0.1, 0.0, 0.02, 0.8)},
    states=THEOREM3_EQUATION.states,
    residual=alignment_bound,
    bound=True,
    mutants={
        "K alone decides": lambda run: alignment_bound(run, shrink=0.0),
        "the largest eigenvalue of K": lambda run: alignment_bound(run, extreme=-1),
        "three times the rate": lambda run: alignment_bound(run, factor=12.0),
    },
    proof=(
        *THEOREM3.proof,
        Step(
            r"l=\|[F,P]\|^2,\ s=(\|F\|\|P\|)^2,\ \dot l=-4\lambda l-g,\ g\ge0:\ "
            r"\tfrac12\tfrac{d}{dt}\ln\tfrac ls=-2\lambda-\tfrac12\tfrac{d}{dt}\ln s-\tfrac g{2l}",
            lambda: _quotient(1),
            lambda: _quotient(2),
        ),
        Step(
            r"\text{in collapse }K\to\tfrac32\eta,\ \|F\|\sim e^{-2\eta t},\ \|P\|\sim e^{-\eta t}:\ 2\cdot\tfrac32\eta-3\eta=0",
            lambda: _marginal(2),
            lambda: _marginal(1),
        ),
    ),
    scope="all dimensions; the symmetrised flow with one scalar tau",
    picture=lambda run: Picture(
        r"$\|[F,P]\|/(\|F\|\|P\|)$", normalised_commutator(run["W"] @ run["W"].mT, run["P"])[..., None], log=True
    ),
    explains="A positive K shrinks the commutator, but so does any decay of F and P. In a collapse the two cancel "
    "exactly: the commutator vanishes and nothing aligns. Where the norms stay, a positive K does align.",
)

# The manifold of fixed points ---------------------------------------------------------------------------------------


def manifold_distance(run: Run, factor: float = 1.0, gain: str = "C A^-1") -> Array:
    """alpha_p sigma_d(W) lambda_min(A) ‖P W - W Cᵀ A⁻¹‖ - ‖dP/dt‖ (R, T), relative to the largest ‖W‖² (1 + ‖P‖) ‖A‖."""
    mo, W_, P_ = moments(run.setting), run["W"], run["P"]
    end = mo.C.T @ np.linalg.inv(mo.A) if gain == "C A^-1" else mo.A @ np.linalg.inv(mo.C)
    k, d = W_.shape[-2:]
    least = singular_values(W_)[..., -1] if k >= d else np.zeros(W_.shape[:2])
    scale = run.setting.training.alpha_p * least * np.linalg.eigvalsh(mo.A)[0]
    size = (norm(W_) ** 2 * (1 + norm(P_)) * norm(mo.A)).max(1, keepdims=True)
    return (factor * scale * norm(P_ @ W_ - W_ @ end) - norm(run["dP"])) / size


def _distance(keep: int) -> bool:
    """‖X N‖² - λ²‖X‖² = ‖X m‖² wherever N Nᵀ = λ² I + m mᵀ: for N = Wᵀ and N = A, λ their least singular values."""
    N = matrix("N")
    return sum_of_squares(
        rewrite(X * N * T(N) * T(X) - keep * lam**2 * X * T(X), {N * T(N): lam**2 + m * T(m)}), (1, X * m)
    )


MANIFOLD_DISTANCE = Claim(
    id="tian-manifold-distance",
    section="TD",
    title="An encoder of full column rank rests only on the manifold, and is as far from it as the predictor is fast",
    statement=r"\eta=0:\quad \alpha_p\,\sigma_{\min}(W)\,\lambda_{\min}(A)\,\|PW-WCA^{-1}\|\le\|\dot P\|;\qquad"
    r" PW=WCA^{-1}\Rightarrow\dot W=\dot P=0",
    source="corrects tian-non-isotropic-manifold",
    base=Setting(
        GaussianViews((1.2, 0.7), (0.2, 0.5), angle=0.5),
        Network(),
        Objective(),
        Training(t_end=24.0, points=13, lr=0.05),
    ),
    vary={
        "views.signal": ((1.2, 0.7), (0.6, 1.3), (1.0, 1.0)),
        "views.noise": ((0.2, 0.5), (0.5, 0.1), (0.3, 0.3)),
        "views.angle": ANGLE,
        "network.k": (2, 3),
        "network.start": ("generic", "parabola", "aligned"),
        "training.alpha_p": (1.0, 0.5, 2.0),
        "seed": (0, 1, 2, 3),
    },
    states=(STOP_GRADIENT, ONLINE, EXCHANGEABLE, NO_DECAY),
    residual=manifold_distance,
    bound=True,
    mutants={
        "ten times as near": lambda run: manifold_distance(run, factor=10.0),
        "A C^-1 for C A^-1": lambda run: manifold_distance(run, gain="A C^-1"),
    },
    proof=(
        Step(
            r"C^\top=MA,\ PW=WM\Rightarrow VC^\top-PWA=0\text{ at }V=W\text{: every point of it rests}",
            lambda: rewrite(W * M * A - P * W * A, {P * W: W * M}),
            lambda: rewrite(W * M * A - P * W * A, {P * W: M * W}),
        ),
        Step(
            r"C^\top=MA:\ \dot P=-\alpha_p(PW-WM)A\,W^\top",
            lambda: sp.expand(alpha_p * (W * M * A - P * W * A) * T(W) + alpha_p * (P * W - W * M) * A * T(W)),
            lambda: sp.expand(alpha_p * (W * M * A - P * W * A) * T(W) - alpha_p * (P * W - W * M) * A * T(W)),
        ),
        Step(
            r"\|XN\|^2-\lambda^2\|X\|^2=\|Xm\|^2\ge0,\ NN^\top=\lambda^2I+mm^\top\text{, for } N=A\text{ and } N=W^\top",
            lambda: _distance(1),
            lambda: _distance(2),
        ),
    ),
    scope="all dimensions, any start, A invertible; for k < d the bound is 0",
    picture=lambda run: Picture(
        r"$\|PW-WCA^{-1}\|/\|W\|$",
        (
            norm(run["P"] @ run["W"] - run["W"] @ moments(run.setting).C.T @ np.linalg.inv(moments(run.setting).A))
            / norm(run["W"])
        )[..., None],
        log=True,
    ),
    explains="What comes to rest with an encoder of full column rank lies on the manifold; what loses rank on the way "
    "may rest elsewhere. Which of the two a start does is not settled here in general, for aligned starts see "
    "byol-aligned-limit.",
)
CLAIMS: tuple[Claim, ...] = (ALIGNED_SPACES, MANIFOLD_DISTANCE)
