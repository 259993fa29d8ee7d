"""A claim of Tian et al. 2021 about one mode with an averaged target: where it ends, from a copied start."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.assumption import Assumption
from derivations.assumptions_tian import ISOTROPIC, ISOTROPIC_VARY, PARABOLA, SOURCE, STOP_GRADIENT, isotropic
from derivations.byol_mode_proofs import REDUCTION
from derivations.claim import Claim
from derivations.common import EQUAL_DECAY, norm
from derivations.proof import Step
from derivations.tian_basin import (
    ABOVE,
    DISTANCE,
    ETA_OF_D,
    P_MINUS,
    P_PLUS,
    D,
    a,
    discriminant,
    limit,
    p,
    root,
    roots_picture,
)
from dynamics.run import Array, Run
from dynamics.setting import Network, Objective, Setting, Training

beta, tau, u, alpha_p = sp.symbols("beta tau u alpha_p", positive=True)


def ema_limit(run: Run, sign: int = 1, tau_: float = 1.0) -> Array:
    """`tian_basin.limit` together with ‖V - tau W‖ / ‖W‖ (R, 1, 2r + 1) at the last time, tau = 1 at rest."""
    W, V = run["W"][:, -1:], run["V"][:, -1:]
    size = norm(W)
    gap = norm(V - tau_ * W) / np.where(size > 0, size, 1.0)
    return np.concatenate([limit(run, sign), gap[..., None]], axis=-1)


def ema_slack(setting: Setting) -> float:
    """exp(-rate t_end / 2), rate the slower of the two at (p+, tau = 1): trace p+ D + beta + p+, determinant p+ D beta."""
    top, D_, b = root(setting, 1), np.sqrt(discriminant(setting)), setting.training.beta
    trace, det = top * D_ + b + top, top * D_ * b
    return float(np.exp(-(trace - np.sqrt(max(trace**2 - 4 * det, 0.0))) / 2 * setting.training.t_end / 2))


def _ema_jacobian() -> sp.Matrix:
    """∂(p', tau') / ∂(p, tau) at (p+, 1), on the parabola, where s'/s = 2 p'/p."""
    dp = p**2 * (tau - a * p) - ETA_OF_D * p
    dtau = beta * (1 - tau) - tau * sp.cancel(dp / p)
    return sp.Matrix([dp, dtau]).jacobian([p, tau]).subs({tau: 1, p: P_PLUS})


def _speeds(power: int = 2) -> tuple[sp.Expr, sp.Expr]:
    """(p', u') on the parabola with u = tau p; power 2 is the true one."""
    return p * (u - a * p**power) - ETA_OF_D * p, beta * (p - u)


def _in_u(power: int) -> bool:
    """From the modes w' , p', v' with w = p/√alpha_p, v = u/√alpha_p (c = 1)."""
    w, v = p / sp.sqrt(alpha_p), u / sp.sqrt(alpha_p)
    dp = alpha_p * w * (v - a * p * w) - ETA_OF_D * p
    du = sp.sqrt(alpha_p) * beta * (w - v)
    speeds = _speeds(power)
    return sp.simplify(dp - speeds[0]) == 0 and sp.simplify(du - speeds[1]) == 0


def _cooperative(sign: int) -> bool:
    """Off-diagonal entries of the Jacobian of (p', u') are positive; q = p' and r = u' obey q' = .. q + p r, r' = beta q - beta r."""
    dp, du = _speeds()
    return bool(sp.diff(dp, u).is_positive) and bool((sign * sp.diff(du, p)).is_positive)


def _from_diagonal(scale: sp.Expr) -> sp.Expr:
    return sp.expand(_speeds()[0].subs(u, p) + scale * p * (p - P_MINUS) * (p - P_PLUS))


EMA = Claim(
    id="tian-ema-fixed-point",
    section="T3.2",
    title="An averaged target leaves the fixed points where they are",
    statement=r"\dot V=\beta(W-V):\quad (p,s,\tau)\to(p_+,\,p_+^2/\alpha_p,\,1)\ \text{for every } \beta>0",
    source=f"{SOURCE}, section 3.2, Observations 8 to 10",
    base=isotropic(
        2, 2, Network(start="parabola"), Objective(target="ema"), Training(t_end=80.0, eta=0.05, beta=0.7, lr=0.1)
    ),
    vary={
        **ISOTROPIC_VARY,
        "network.k": (2, 1, 3),
        "network.w0": (0.7, 0.5, 1.0, 0.05),  # 0.05: on either side of the saddle, as eta and alpha_p say
        "training.eta": (0.05, 0.0, 0.02, 0.08),
        "training.alpha_p": (2.0, 1.0, 0.5),
        "training.beta": (0.7, 1.0, 2.0),
        "seed": (0, 1, 2, 3),
    },
    states=(
        STOP_GRADIENT,
        ISOTROPIC,
        EQUAL_DECAY,
        PARABOLA,
        DISTANCE,
        ABOVE,
        Assumption("averaged target", "V follows W at rate beta", only={"objective.target": ("ema",)}),
        Assumption("copied target", "V(0) = W(0)", only={"network.tau0": (1.0,)}),
    ),
    residual=ema_limit,
    slack=ema_slack,
    mutants={
        "p- for p+": lambda run: ema_limit(run, sign=-1),
        "the target rests at half the encoder": lambda run: ema_limit(run, tau_=0.5),
    },
    proof=(
        REDUCTION,
        Step(
            r"w=p/\sqrt{\alpha_p},\ u=\tau p:\ \dot p=p\,(u-(1+\sigma^2)p^2)-\eta p,\ \dot u=\beta(p-u)",
            lambda: _in_u(2),
            lambda: _in_u(1),
        ),
        Step(
            r"\partial\dot p/\partial u=p>0,\ \partial\dot u/\partial p=\beta>0\text{: cooperative, so order is kept, and }"
            r"(\dot p,\dot u)\text{ of one sign keeps it}",
            lambda: _cooperative(1),
            lambda: _cooperative(-1),
        ),
        Step(
            r"u=p:\ \dot p=-(1+\sigma^2)\,p\,(p-p_-)(p-p_+),\ \dot u=0\text{: up from above } p_-\text{, down from above } p_+"
            r"\text{; the only rest above } p_-\text{ is } (p_+,p_+)",
            lambda: _from_diagonal(a),
            lambda: _from_diagonal(sp.S.One),
        ),
        Step(
            r"(p_+,\tau=1)\text{ is stationary, } p_+\text{ as for the online target}",
            lambda: (p**2 * (tau - a * p) - ETA_OF_D * p).subs({tau: 1, p: P_PLUS}),
            lambda: (p**2 * (tau - a * p) - ETA_OF_D * p).subs({tau: sp.Rational(1, 2), p: P_PLUS}),
        ),
        Step(
            r"\mathrm{tr}=-(p_+D+\beta+p_+)<0",
            lambda: _ema_jacobian().trace() + P_PLUS * D + beta + P_PLUS,
            lambda: _ema_jacobian().trace() + P_PLUS * D + beta,
        ),
        Step(
            r"\det=p_+D\beta>0\text{: stable for every }\beta",
            lambda: _ema_jacobian().det() - P_PLUS * D * beta,
            lambda: _ema_jacobian().det() - P_PLUS * D,
        ),
    ),
    scope="modes, which aligned starts on isotropic data make exact; on the parabola with V(0) = W(0), "
    "every beta > 0. That a cooperative system keeps order is Kamke's theorem",
    picture=roots_picture,
    explains="The average changes the way and its speed, not the end: tau returns to 1 because V can only rest on W. "
    "Which starts reach p+ does depend on beta and on tau(0).",
)
CLAIMS: tuple[Claim, ...] = (EMA,)
