"""The note's section 3.3: the flows of encoder and predictor, the optimal predictor, and what rests at the origin."""

from __future__ import annotations

from derivations.assumption import Assumption, Interval, Spectrum
from derivations.byol_common import PREDICTORS, moments_of
from derivations.byol_proofs import GRAD_P, GRAD_W, OPTIMAL, ORIGIN
from derivations.claim import Claim, Picture
from derivations.common import (
    EQUAL_DECAY,
    NO_DECAY,
    NOTE,
    PREDICTOR,
    ROTATIONS,
    SPECTRA,
    STARTS,
    norm,
    picture_singular_values,
    relative,
)
from dynamics.observe import singular_values
from dynamics.run import Array, Run

SHORT = PREDICTOR.replace(training__t_end=2.0, training__lr=0.01)
TARGETS = {"objective.target": ("online", "ema"), "network.tau0": (1.0, 0.0, 0.5)}
MATRIX_FLOW = {**SPECTRA, **ROTATIONS, **STARTS, **PREDICTORS, **TARGETS}


def flow_W(run: Run, sign: float = 1.0, transpose: bool = True) -> Array:
    """dW/dt + (PᵀPWA - PᵀV Cᵀ), t = 2 eta t_note; relative to the terms."""
    A, _, C = moments_of(run)
    Pt = run["P"].mT
    pull, push = Pt @ run["P"] @ run["W"] @ A, Pt @ run["V"] @ (C.T if transpose else C)
    return relative(run["dW"] + sign * pull - push, pull, push, run["dW"])


def flow_P(run: Run, sign: float = 1.0, transpose: bool = True) -> Array:
    """dP/dt / alpha_p + (P W A Wᵀ - V Cᵀ Wᵀ)."""
    A, _, C = moments_of(run)
    Wt = run["W"].mT
    pull, push = run["P"] @ run["W"] @ A @ Wt, run["V"] @ (C.T if transpose else C) @ Wt
    dP = run["dP"] / run.setting.training.alpha_p
    return relative(dP + sign * pull - push, pull, push, dP)


def optimum(run: Run, transpose: bool = True, factor: float = 1.0) -> Array:
    """P - V Cᵀ Wᵀ (W A Wᵀ)⁻¹ where the rung has put P at its optimum, times W A Wᵀ so that no inverse is needed."""
    A, _, C = moments_of(run)
    Wt = run["W"].mT
    left, right = run["P"] @ run["W"] @ A @ Wt, factor * run["V"] @ (C.T if transpose else C) @ Wt
    return relative(left - right, left, right)


def origin_violates(run: Run) -> Array:
    """1 if P W A = V Cᵀ holds at the start W = 0, where the note says that it does not; 0 else."""
    A, _, C = moments_of(run)
    gap = norm(run["P"] @ run["W"] @ A - run["V"] @ C.T)[:, 0]
    return (gap <= 1e-12).astype(float)[:, None]  # far below any gap a random V leaves, above rounding


def _violation_picture(run: Run) -> Picture:
    A, _, C = moments_of(run)
    gap = norm(run["P"] @ run["W"] @ A - run["V"] @ C.T)
    return Picture(r"$\|PWA-\bar WC^\top\|$ from $W=0$" + "\n(claimed not to be 0)", gap[..., None])


def origin_moves(run: Run) -> Array:
    """1 if W and V do not move at W = 0, where the note says that collapse is no fixed point; 0 else."""
    speed = (norm(run["dW"]) + norm(run["dV"]))[:, 0]
    return (speed <= 1e-12).astype(float)[:, None]


def origin_rests(run: Run) -> Array:
    """‖dW‖ + ‖dV‖ + ‖dP + eta P‖ at W = V = 0: all 0, whatever P is."""
    rest = run["dP"] + run.setting.training.eta * run["P"]
    return (norm(run["dW"]) + norm(run["dV"]) + norm(rest))[:, :1]


CLAIMS = (
    Claim(
        "byol-flow-W",
        "3.3",
        "Gradient flow of the online encoder",
        r"\dot W = -2\eta(P^\top PWA - P^\top\bar WC^\top)",
        NOTE + "3.3",
        base=SHORT,
        vary=MATRIX_FLOW,
        states=(NO_DECAY,),
        rungs=("flow", "descent", "sgd"),
        residual=flow_W,
        mutants={
            "sign of the decay term": lambda r: flow_W(r, -1.0),
            "no pull at all": lambda r: flow_W(r, 0.0),
            "C not transposed": lambda r: flow_W(r, transpose=False),
        },
        proof=(GRAD_W,),
        scope="all dimensions, any A, C (rectangular, non-symmetric), any target held fixed",
        picture=picture_singular_values,
    ),
    Claim(
        "byol-flow-P",
        "3.3",
        "Gradient flow of the predictor",
        r"\dot P = -2\eta(PWAW^\top - \bar WC^\top W^\top)",
        NOTE + "3.3",
        base=SHORT,
        vary=MATRIX_FLOW,
        states=(NO_DECAY,),
        rungs=("flow", "descent", "sgd"),
        residual=flow_P,
        mutants={
            "sign of the decay term": lambda r: flow_P(r, -1.0),
            "no pull at all": lambda r: flow_P(r, 0.0),
            "C not transposed": lambda r: flow_P(r, transpose=False),
        },
        proof=(GRAD_P,),
        scope="all dimensions, any A, C, any target held fixed",
        picture=lambda run: Picture("singular values of P", singular_values(run["P"])),
    ),
    Claim(
        "byol-pstar",
        "3.3",
        "The optimal predictor",
        r"P^* = \bar WC^\top W^\top(WAW^\top)^{-1}",
        NOTE + "3.3",
        base=SHORT.replace(objective__predictor="optimal", training__t_end=0.5),
        vary={**MATRIX_FLOW, "views.noise": Spectrum(0.25, 1.0)},
        states=(
            Assumption(
                "WAW-invertible",
                "W A Wᵀ is invertible, as the formula's inverse presumes",
                {"views.anchor": (False,)},
                where=lambda s: s.network.k <= len(s.get("views.signal")),
            ),
        ),
        rungs=("flow", "descent"),
        residual=optimum,
        mutants={"C not transposed": lambda r: optimum(r, False), "twice as large": lambda r: optimum(r, factor=2.0)},
        proof=OPTIMAL,
        scope="all dimensions, any A, C and target; W A Wᵀ invertible",
    ),
    Claim(
        "byol-stationary-condition",
        "3.3",
        "The stationary condition is PWA = W̄Cᵀ, and W = 0 does not satisfy it",
        r"PWA = \bar WC^\top,\quad W = 0 \text{ excluded}",
        NOTE + "3.3",
        base=SHORT.replace(network__start="zero"),
        vary={**SPECTRA, **STARTS, **TARGETS},
        rungs=("flow", "descent"),
        residual=origin_violates,
        corrected_by="byol-origin-stationary",
        explains="At W = 0 the target, a copy or an average of W, is 0 as well: the condition reads 0 = 0 (it excludes W = 0 "
        "only beside an average that has not arrived there). Moreover it is sufficient, not necessary: the flow of W stops where Pᵀ(PWA - W̄Cᵀ) = 0.",
        picture=_violation_picture,
    ),
    Claim(
        "byol-collapse-fixed-point",
        "3.3",
        "Predictor and stop-gradient make collapse not a fixed point",
        r"(W, \bar W) = 0 \text{ is no fixed point}",
        NOTE + "3.3",
        base=SHORT.replace(network__start="zero"),
        vary={**SPECTRA, **STARTS, **TARGETS, "training.eta": Interval(0.0, 0.4)},
        rungs=("flow", "descent", "sgd"),
        residual=origin_moves,
        corrected_by="byol-origin-stationary",
        explains="Every term of both flows contains W or the target as a factor, so W = W̄ = 0 is at rest for every P. "
        "What the asymmetry changes is how the origin attracts: without weight decay an open set of starts only, those whose "
        "predictor is negative, or too large, beyond the encoder (byol-aligned-limit); with it every start near 0, too.",
        picture=lambda run: Picture("singular values of W\n(claimed to leave 0)", singular_values(run["W"])),
    ),
    Claim(
        "byol-origin-stationary",
        "3.3",
        "Collapse is a fixed point of predictor + stop-gradient, for every predictor",
        r"W = \bar W = 0 \Rightarrow \dot W = \dot{\bar W} = 0,\ \dot P = -\eta P",
        "corrects byol-collapse-fixed-point and byol-stationary-condition",
        base=SHORT.replace(network__start="zero"),
        vary={**SPECTRA, **ROTATIONS, **STARTS, **TARGETS, "training.eta": Interval(0.0, 0.4)},
        states=(EQUAL_DECAY,),
        rungs=("flow", "descent", "sgd"),
        residual=origin_rests,
        mutants={
            "P decays at rate 1 + eta": lambda r: norm(r["dP"] + (1 + r.setting.training.eta) * r["P"])[:, :1],
        },
        proof=(ORIGIN,),
        scope="all dimensions, any moments, any P, copied or averaged target",
        picture=lambda run: Picture("singular values of P", singular_values(run["P"])),
    ),
)
