"""What is true without predictor or without stop-gradient: which directions collapse, and how fast. Corrected claims."""

from __future__ import annotations

from functools import partial

import numpy as np

from derivations.assumption import Interval, Spectrum
from derivations.byol_common import moments_of, unpredicted
from derivations.byol_proofs import NO_PREDICTOR, UNPREDICTED
from derivations.claim import Claim, Picture
from derivations.common import (
    EQUAL_DECAY,
    EXCHANGEABLE,
    NO_STOP_GRADIENT,
    ONLINE,
    PREDICTOR,
    ROTATIONS,
    SPECTRA,
    STARTS,
    WITHOUT_PREDICTOR,
    norm,
    relative,
    share,
)
from derivations.invariance_proofs import LIMIT
from dynamics.observe import singular_values
from dynamics.run import Array, Run

VARY = {**SPECTRA, **STARTS, "views.angle": Interval(0.0, 1.5), "training.eta": (0.0, 0.1, 0.3)}


def no_predictor_solution(run: Run, views: float = 1.0, decay: float = 1.0) -> Array:
    """(W(t) - W(0) e^{-(X' + eta I) t}) / ‖W‖ (R, T, k, d)."""
    A, _, C = moments_of(run)
    values, vectors = np.linalg.eigh(views * (A - C) + decay * run.setting.training.eta * np.eye(len(A)))
    kept = np.exp(-run.t[:, None] * values)
    claimed = ((run["W"][:, :1] @ vectors) * kept[:, None, :]) @ vectors.T
    return relative(run["W"] - claimed, run["W"][:, :1])


def _solution_picture(run: Run) -> Picture:
    claimed = run["W"] - no_predictor_solution(run) * norm(run["W"])[:, :1, None, None]
    return Picture("singular values of W", singular_values(run["W"]), singular_values(claimed)[0])


def contraction(run: Run, factor: float = 1.0) -> Array:
    """‖W(t)‖/‖W(0)‖ - e^{-(λ + eta) t} (R, T), λ the smallest eigenvalue of B - CᵀA⁻¹C."""
    rate = unpredicted(run.setting)[0] + run.setting.training.eta
    return share(run) - np.exp(-factor * rate * run.t)


def _contraction_picture(run: Run) -> Picture:
    size = share(run)
    return Picture("‖W(t)‖/‖W(0)‖ and its bound", size[..., None], (size - contraction(run))[0, :, None], log=True)


CLAIMS = (
    Claim(
        "byol-no-predictor-solution",
        "3.3",
        "Without a predictor each direction decays at its own variance under the augmentation, plus the weight decay",
        r"P = I:\quad W(t) = W(0)\,e^{-(X'+\eta I)t},\quad X' = A - C",
        "corrects byol-condition-predictor and tian-no-predictor",
        base=PREDICTOR.replace(objective__predictor="none", training__lr=0.01),
        vary=VARY,
        states=(ONLINE, EXCHANGEABLE, WITHOUT_PREDICTOR),
        rungs=("exact", "flow", "descent"),
        residual=no_predictor_solution,
        mutants={
            "the noise of both views": partial(no_predictor_solution, views=2.0),
            "growth": partial(no_predictor_solution, views=-1.0, decay=-1.0),
        },
        proof=NO_PREDICTOR,
        scope="all dimensions, any W(0), X' >= 0",
        picture=_solution_picture,
        explains="What collapses without a predictor is what the augmentation moves. On the kernel of X' + eta I the "
        "encoder keeps its start for ever.",
    ),
    Claim(
        "byol-no-stop-gradient-bound",
        "3.3",
        "Without stop-gradient the encoder shrinks at least at the rate of what x does not predict of x⁺",
        r"\|W(t)\| \le \|W(0)\|\,e^{-(\lambda_{min}(N)+\eta)t},\quad N = B - C^\top A^{-1}C",
        "corrects byol-condition-stop-gradient and tian-theorem2",
        base=PREDICTOR.replace(  # nothing shared and a small predictor: the bound is all but met
            objective__stop_gradient=False, views__signal=(0.0,), views__noise=(0.25,), network__k=1, network__p0=0.05
        ),
        vary={
            **VARY,
            **ROTATIONS,
            "views.signal": Spectrum(0.0, 1.0),
            "network.start": ("generic", "aligned"),
            "network.p0": (0.7, 0.05, 0.2, 1.2),
            "training.alpha_p": (1.0, 0.5, 2.0),
        },
        states=(NO_STOP_GRADIENT, ONLINE, EQUAL_DECAY),
        residual=contraction,
        bound=True,
        mutants={"a tenth faster": partial(contraction, factor=1.1)},
        proof=(UNPREDICTED, LIMIT),
        scope="all dimensions, any views (where A is singular A⁻¹ is its pseudo-inverse), start, alpha_p; collapse follows "
        "where N + eta I is positive definite. "
        "From the rate to the bound: Grönwall",
        picture=_contraction_picture,
        explains="N is the moment of what no linear map of x predicts of x⁺; of exchangeable views it is at least their noise X'. "
        "Where N is singular and there is no decay the bound is 1 and says nothing: P can reach the map that predicts the rest "
        "before W has vanished there, and then W stays.",
    ),
)
