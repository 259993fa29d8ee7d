"""The note's section 3.1: what the flow of the invariance loss does to a linear encoder."""

from __future__ import annotations

from functools import partial

import numpy as np

from derivations.assumption import Assumption
from derivations.claim import Claim, Picture, Transfer
from derivations.common import (
    INVARIANCE,
    NO_DECAY,
    NOISY,
    NOTE,
    SPECTRA,
    STARTS,
    final_share,
    noise_slack,
    norm,
    picture_singular_values,
    picture_vanishing,
    relative,
)
from derivations.invariance_common import ANY_START, CLEAN, SHORT
from derivations.invariance_proofs import GRADIENT, KEPT, LIMIT, MODE, REDUCTION
from dynamics.convention import Convention
from dynamics.observe import singular_values
from dynamics.run import Array, Run
from dynamics.views import moments

LONG = INVARIANCE.replace(training__t_end=48.0, training__lr=0.1)  # the slowest positive rate in the domains is 0.25


def _S(run: Run) -> Array:
    return moments(run.setting).S


def kernel_limit(run: Run, kept: float = 1.0) -> Array:
    """(W(T) - W(0) Π) / ‖W(0)‖ with Π the projector on the kernel of S."""
    values, vectors = np.linalg.eigh(_S(run))
    null = vectors[:, values < 1e-9]  # S is built from eigenvalues that are 0 or >= 0.25
    return relative(run["W"][:, -1:] - kept * run["W"][:, :1] @ null @ null.T, run["W"][:, :1])


def flow(run: Run, factor: float = 2.0) -> Array:
    """dW/dt_note + factor W S, t_note the time of a loss without ½ at rate eta = 1; relative to both sides and ‖W‖."""
    per_note_time = Convention(prefactor=1.0, lr=1.0).time_per_step
    left, right = per_note_time * run["dW"], factor * run["W"] @ _S(run)
    return relative(left + right, left, right, run["W"])


def solution(run: Run, rate: float = 1.0) -> Array:
    """(W(t) - W(0) e^{-rate S t}) / ‖W(0)‖ with t the flow time (2 eta t_note)."""
    values, vectors = np.linalg.eigh(_S(run))
    decay = np.exp(-rate * run.t[:, None] * values)
    claimed = ((run["W"][:, :1] @ vectors) * decay[:, None, :]) @ vectors.T
    return relative(run["W"] - claimed, run["W"][:, :1])


def solution_picture(run: Run) -> Picture:
    """σ_k(W(t)), beside those of the claimed solution."""
    claimed = run["W"] - solution(run) * norm(run["W"])[:, :1, None, None]
    return Picture("singular values of W", singular_values(run["W"]), singular_values(claimed)[0])


def singular(run: Run) -> Array:
    """σ_k(T) / σ_1(0)."""
    sigma = singular_values(run["W"])
    return sigma[:, -1] / sigma[:, 0, :1]


LINEAR = Assumption("linear-encoder", "the encoder is linear, f(x) = W x", {"network.kind": ("linear",)})
CLAIMS = (
    Claim(
        "naive-collapse",
        "1.2 / 3.1",
        "Minimising the invariance loss alone gives the constant map",
        r"\mathcal L_{naive} = 0 \Rightarrow f = c",
        NOTE + "1.2, 3.1",
        base=LONG,
        vary={**SPECTRA, **CLEAN, **STARTS},
        needs=(NOISY, LINEAR),
        rungs=("exact", "flow", "descent"),
        residual=final_share,
        slack=noise_slack,
        mutants={"half of it stays": lambda run: final_share(run) - 0.5},
        proof=(REDUCTION, MODE, LIMIT),
        scope="all dimensions, linear encoder, S positive definite",
        corrected_by="invariance-kernel",
        picture=picture_vanishing,
        explains="Where the augmentation leaves a direction untouched (S singular), the loss is blind to it: W keeps that "
        "part of its start for ever and the loss is 0 without collapse. A map that is not linear can be constant on each of "
        "several groups of inputs whose views stay within them, whatever S is.",
        transfer=Transfer(
            ("invariance-mlp", "invariance-resnet"),
            "the variance of the deep embedding falls: log(variance at start / at end)",
            lambda runs: np.concatenate([np.log(r["variance"][:, 0] / r["variance"][:, -1]) for r in runs.values()]),
        ),
    ),
    Claim(
        "invariance-kernel",
        "3.1",
        "The invariance flow keeps exactly the part of W(0) on the kernel of S",
        r"W(t) \to W(0)\,\Pi_{\ker S}",
        "corrects naive-collapse and invariance-singular-values",
        base=LONG,
        vary={**SPECTRA, **CLEAN, **STARTS},
        states=(NO_DECAY,),
        rungs=("exact", "flow", "descent"),
        residual=kernel_limit,
        slack=noise_slack,
        mutants={
            "twice the kept part": partial(kernel_limit, kept=2.0),
            "nothing is kept": partial(kernel_limit, kept=0.0),
        },
        proof=(REDUCTION, MODE, LIMIT, KEPT),
        scope="all dimensions, any W(0), S >= 0",
        picture=picture_singular_values,
    ),
    Claim(
        "invariance-flow",
        "3.1",
        "Gradient flow of the linear encoder",
        r"\dot W = -2\eta W S",
        NOTE + "3.1",
        base=SHORT,
        vary=ANY_START,
        states=(NO_DECAY,),
        rungs=("flow", "descent", "sgd"),
        residual=flow,
        mutants={"factor 1 instead of 2": lambda run: flow(run, 1.0), "sign flipped": lambda run: flow(run, -2.0)},
        proof=(GRADIENT,),
        scope="all dimensions",
        picture=solution_picture,
    ),
    Claim(
        "invariance-solution",
        "3.1",
        "The flow's solution is a matrix exponential",
        r"W(t) = W(0)e^{-2\eta S t}",
        NOTE + "3.1",
        base=SHORT,
        vary=ANY_START,
        states=(NO_DECAY,),
        rungs=("flow", "exact", "descent", "sgd"),
        residual=solution,
        mutants={"half the rate": lambda run: solution(run, 0.5), "growth": lambda run: solution(run, -1.0)},
        proof=(GRADIENT, REDUCTION, MODE),
        scope="all dimensions, any W(0), S >= 0",
        picture=solution_picture,
    ),
    Claim(
        "invariance-singular-values",
        "3.1",
        "Every singular value of W decays exponentially to zero",
        r"\sigma_k(W(t)) \to 0\ \forall k",
        NOTE + "3.1",
        base=LONG,
        vary={**SPECTRA, **CLEAN, **STARTS},
        needs=(NOISY,),
        rungs=("exact", "flow", "descent"),
        residual=singular,
        slack=noise_slack,
        mutants={"half of it stays": lambda run: singular(run) - 0.5},
        proof=(REDUCTION, MODE, LIMIT),
        scope="all dimensions, S positive definite",
        corrected_by="invariance-kernel",
        picture=picture_vanishing,
        explains="S is only positive semidefinite. On its kernel (directions no augmentation moves) nothing decays.",
        transfer=Transfer(
            ("invariance-mlp", "invariance-resnet"),
            "the smallest eigenvalue of the deep embedding's covariance falls: log(start / end)",
            lambda runs: np.concatenate(
                [np.log((r["spectrum"][:, 0, -1] + 1e-30) / (r["spectrum"][:, -1, -1] + 1e-30)) for r in runs.values()]
            ),
        ),
    ),
    Claim(
        "invariance-learning-rate",
        "3.1",
        "The factor of the rate is 2 eta",
        r"-2\eta",
        NOTE + "3.1",
        base=SHORT,
        vary=ANY_START,
        states=(NO_DECAY,),
        rungs=("descent", "flow"),
        residual=flow,
        mutants={"eta": lambda run: flow(run, 1.0), "4 eta": lambda run: flow(run, 4.0)},
        proof=(GRADIENT,),
        scope="all dimensions; a loss without the factor ½, plain gradient steps",
    ),
)
