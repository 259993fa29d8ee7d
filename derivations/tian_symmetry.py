"""Claims of Tian et al. 2021 about the symmetry of the predictor, their Assumption 3, and what feeds its asymmetry."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.algebra import T, matrix, rewrite, sum_of_squares
from derivations.assumption import Assumption, Domain
from derivations.assumptions_tian import (
    ALPHA_P,
    ETA,
    FREE,
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
from derivations.common import EQUAL_DECAY, ONLINE, norm
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import Network, Objective, Training

W, P = matrix("W"), matrix("P")
F, Y = matrix("F", symmetric=True), matrix("Y", symmetric=True)
eta, alpha_p, a, tau = sp.symbols("eta alpha_p a tau", positive=True)

SYMMETRIC_START = Assumption(
    "symmetric start",
    "P is symmetric at t = 0",
    only={"network.start": ("symmetric", "balanced", "aligned", "parabola")},
)
MATRIX_VARY: dict[str, Domain] = {
    **ISOTROPIC_VARY,
    "network.k": (3, 2),
    "network.start": ("symmetric", "balanced", "aligned"),
    "training.eta": ETA,
    "training.alpha_p": ALPHA_P,
    "seed": (0, 1, 2, 3),
}
# P and F apart: where they commute at the start they do so for ever, and a law of their commutator says 0 = 0
APART_VARY: dict[str, Domain] = {
    **MATRIX_VARY,
    "network.start": ("symmetric",),
    "network.w0": (0.7, 0.2, 1.5),
    "network.p0": (0.7, 0.1, 2.0),
}

# Assumption 3 -------------------------------------------------------------------------------------------------------


def asymmetry(run: Run) -> Array:
    """(P - Pᵀ) / ‖P(0)‖ (R, T, k, k)."""
    return relative(run["P"] - run["P"].mT, norm(run["P"][:, :1]))


def _antisymmetric_rate(flip: int) -> sp.Expr:
    """d(P - Pᵀ)/dt minus its law, for P = A + B: -(alpha_p a / 2)([A, F] + {B, F}) twice, minus eta twice B."""
    A_, B_ = (P + T(P)) / 2, (P - T(P)) / 2
    dP = alpha_p * (tau * F - a * P * F) - eta * P
    law = -alpha_p * a * (A_ * F - F * A_ + flip * (B_ * F + F * B_)) - 2 * eta * B_
    return sp.expand(dP - T(dP) - law)


ASYMMETRY = Step(
    r"\dot P-\dot P^\top=-\alpha_p(1+\sigma^2)([A,F]+\{B,F\})-2\eta B,\ P=A+B\text{: }[A,F]\text{ feeds }B",
    lambda: _antisymmetric_rate(1),
    lambda: _antisymmetric_rate(-1),
)
ASSUMPTION3 = Claim(
    id="tian-assumption3",
    section="T3.1",
    title="A symmetric predictor stays symmetric",
    statement=r"P(0)=P(0)^\top\ \Rightarrow\ P(t)=P(t)^\top",
    source=f"{SOURCE}, Assumption 3, as a property of the flow of (2)",
    base=isotropic(2, 2, Network(start="aligned"), Objective(), Training(t_end=6.0, eta=0.05)),
    vary=MATRIX_VARY,
    states=(STOP_GRADIENT, ONLINE, ISOTROPIC, FREE, SYMMETRIC_START),
    needs=(
        Assumption(
            "commuting start", "P and F commute at t = 0", only={"network.start": ("balanced", "aligned", "parabola")}
        ),
    ),
    residual=asymmetry,
    mutants={"P antisymmetric": lambda run: relative(run["P"] + run["P"].mT, norm(run["P"][:, :1]))},
    proof=(ASYMMETRY, REDUCTION),
    scope="all dimensions: P and F that commute share eigenvectors, a mode of isotropic data, and modes stay modes",
    corrected_by="tian-asymmetry-law",
    picture=lambda run: Picture(r"$\|P-P^\top\|/\|P(0)\|$", norm(asymmetry(run))[..., None], np.zeros((len(run.t), 1))),
    explains="The paper assumes symmetry and then symmetrises the flow; the gradient flow itself does not keep it. "
    "The commutator of P with F feeds the antisymmetric part, so symmetry survives only where the two already share "
    "eigenvectors; elsewhere the asymmetry rises first and then decays.",
)

# The law of asymmetry -----------------------------------------------------------------------------------------------


def asymmetry_law(run: Run, source: float = 1.0, decay: float = 1.0) -> Array:
    """dB/dt + (alpha_p a / 2)([S, F] + {B, F}) + eta B, P = S + B; relative to the sizes of P and F (R, T, k, k)."""
    tr_, a_ = run.setting.training, a_of(run.setting)
    W_, P_, dP = run["W"], run["P"], run["dP"]
    F_, S_, B_ = W_ @ W_.mT, (P_ + P_.mT) / 2, (P_ - P_.mT) / 2
    law = -tr_.alpha_p * a_ / 2 * (source * (S_ @ F_ - F_ @ S_) + B_ @ F_ + F_ @ B_) - decay * tr_.eta * B_
    return relative((dP - dP.mT) / 2 - law, norm(P_) * (1 + norm(F_)))


def _damping(weight: int) -> bool:
    """What the terms in B take from ½‖B‖²: alpha_p a ‖B W‖² + eta ‖B‖², with F = W Wᵀ and Bᵀ = -B."""
    B_ = (P - T(P)) / 2
    loss = alpha_p * a / 2 * (B_ * W * T(W) + W * T(W) * B_) * T(B_) + eta * B_ * T(B_)
    return sum_of_squares(loss, (weight * alpha_p * a, B_ * W), (eta, B_))


def _rest(scale: sp.Expr) -> bool:
    """P = alpha_p tau F Y, Y = (a alpha_p F + eta I)⁻¹, rests at fixed F and is symmetric."""
    inverse = (1 - eta * Y) / (a * alpha_p)
    at_rest = scale * alpha_p * tau * F * Y
    rules: dict[sp.Expr, sp.Expr | int] = {Y * F: inverse, F * Y: inverse}
    velocity = alpha_p * (tau * F - a * at_rest * F) - eta * at_rest
    return rewrite(velocity, rules) == 0 and rewrite(at_rest - T(at_rest), rules) == 0


ASYMMETRY_LAW = Claim(
    id="tian-asymmetry-law",
    section="T3.1",
    title="The predictor's asymmetry is damped, and fed by its commutator with the correlation alone",
    statement=r"\dot B=-\tfrac{\alpha_p(1+\sigma^2)}2\big([S,F]+\{B,F\}\big)-\eta B,\qquad P=S+B,\ S=S^\top,\ B=-B^\top",
    source="corrects tian-assumption3; Tian et al. 2021, supplement, (62)",
    base=isotropic(3, 2, Network(), Objective(), Training(t_end=4.0, eta=0.1, alpha_p=2.0)),
    vary={**APART_VARY, "network.start": ("generic", "symmetric")},
    states=(STOP_GRADIENT, ONLINE, ISOTROPIC, EQUAL_DECAY, FREE),
    residual=asymmetry_law,
    mutants={
        "no source": lambda run: asymmetry_law(run, source=0.0),
        "the source of opposite sign": lambda run: asymmetry_law(run, source=-1.0),
        "no weight decay": lambda run: asymmetry_law(run, decay=0.0),
    },
    proof=(
        ASYMMETRY,
        Step(
            r"\text{the terms in } B:\ -\tfrac12\tfrac{d}{dt}\|B\|^2=\alpha_p(1+\sigma^2)\|BW\|^2+\eta\|B\|^2\ge0",
            lambda: _damping(1),
            lambda: _damping(2),
        ),
        Step(
            r"\text{at fixed } F:\ P=\tau F\big((1+\sigma^2)F+\tfrac{\eta}{\alpha_p}I\big)^{-1}\text{ rests, and is symmetric}",
            lambda: _rest(sp.S.One),
            lambda: _rest(2 * sp.S.One),
        ),
    ),
    scope="all dimensions, any start; isotropic data",
    picture=lambda run: Picture(r"$\|P-P^\top\|/\|P\|$", (norm(run["P"] - run["P"].mT) / norm(run["P"]))[..., None]),
    explains="Everything in the law but the commutator shrinks the antisymmetric part. So a start that commutes with F "
    "stays symmetric, any other becomes asymmetric first, and the asymmetry dies as P and F come to commute, but for "
    "what lies where F has died, which decay alone takes away.",
)

CLAIMS: tuple[Claim, ...] = (ASSUMPTION3, ASYMMETRY_LAW)
